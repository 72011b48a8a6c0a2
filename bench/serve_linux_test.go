package bench

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"strongroom.example/driver/soft"
	"strongroom.example/vault"
)

// serveTurn is the length of a turn of BenchmarkServe. It is longer than turn, because the
// layers differ less.
const serveTurn = 100 * time.Millisecond

// BenchmarkServe measures Encrypt of 1 KiB, with its durable audit record, through strongroom's
// server on a Unix socket. The server is a process of its own. The layers take turns:
//   - vault: Client.Encrypt in this process, without a server,
//   - http and go-http: a request and a response of the same size through net/http, with a
//     handler that does nothing, which is the least that such a server can cost,
//   - socket and go-client: the server, by the API of Tencent Cloud,
//   - aws: the server, by that of AWS.
//
// The clients of http, socket and aws write a request that was made before, and read the response
// into a buffer of their own. Those of go-http and go-client are of net/http, and make each
// request.
//
// It reports the time of an operation of each layer, and the processor time of the server and
// that of the clients, which other load changes less; "x-vault" and "x-http", the time of socket
// divided by that of vault and of http. With -cpuprofile and -memprofile the server writes
// profiles too, in files whose names end with ".server".
func BenchmarkServe(b *testing.B) {
	s := startServed(b)
	layers := []struct {
		name string
		do   act
	}{
		{"vault", encryptHere(b)},
		{"http", prepared(b, s.bare, s.tencent())},
		{"go-http", goClient(b, s.bare, s.body)},
		{"socket", prepared(b, s.kms, s.tencent())},
		{"go-client", goClient(b, s.kms, s.body)},
		{"aws", prepared(b, s.kms, s.aws())},
	}
	for _, callers := range []int{1, 8, 64} {
		b.Run(callersName(callers), func(b *testing.B) {
			list := make(map[string][]float64)
			for n := 0; n < rounds || b.Loop(); n++ {
				ns := make(map[string]float64)
				for i := range layers {
					l := layers[(i+n)%len(layers)] // each is the first in turn
					c := s.measure(b, callers, l.do)
					ns[l.name] = float64(c.wall)
					for unit, t := range map[string]time.Duration{"-ns/op": c.wall, "-server-cpu-ns/op": c.server, "-client-cpu-ns/op": c.client} {
						list[l.name+unit] = append(list[l.name+unit], float64(t))
					}
				}
				list["x-vault"] = append(list["x-vault"], ns["socket"]/ns["vault"])
				list["x-http"] = append(list["x-http"], ns["socket"]/ns["http"])
			}
			for unit, values := range list {
				b.ReportMetric(median(values), unit)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// A serveCost is the cost of one operation: time, and the processor time of both processes.
type serveCost struct{ wall, server, client time.Duration }

// measure measures an operation for a turn.
func (s *served) measure(b *testing.B, callers int, do act) serveCost {
	b.Helper()
	client, server := processorTime(), s.processorTime(b)
	r := measure(b.Context(), callers, serveTurn, do)
	client, server = processorTime()-client, s.processorTime(b)-server
	if r.first != nil {
		b.Fatal(r.first)
	}
	n := time.Duration(r.latency.total)
	return serveCost{time.Duration(1e9 / r.rate()), server / n, client / n}
}

// newServedVault creates a vault with a CMK, whose id it returns.
func newServedVault(ctx context.Context, dir string) (v *vault.Vault, id string, err error) {
	key := filepath.Join(dir, "key")
	if err := soft.CreateKeyFile(key); err != nil {
		return nil, "", err
	}
	if v, err = vault.Create(ctx, filepath.Join(dir, "vault"), vault.Config{}, soft.KeyFile(key)); err != nil {
		return nil, "", err
	}
	k, err := v.As(vault.DefaultOwner).CreateKey(ctx, vault.KeyOptions{})
	return v, k.ID, err
}

// encryptHere encrypts in this process.
func encryptHere(b *testing.B) act {
	v, id, err := newServedVault(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := v.Close(); err != nil {
			b.Error(err)
		}
	})
	c, text := v.As(vault.DefaultOwner), make([]byte, served1KiB)
	return func(ctx context.Context, _ []byte) error {
		_, err := c.Encrypt(ctx, id, text, nil)
		return err
	}
}
