package tpm_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testtoken"
	"strongroom.example/vault"
)

// A stopwatch measures how long commands are on the wire: from their first byte out to
// the last byte of their response in. That is what the same bytes cost without this
// program, and nothing on one TPM can be faster, since it does one at a time.
type stopwatch struct {
	testtoken.Conn
	spent    *atomic.Int64
	commands *atomic.Int64
}

func (s stopwatch) Send(command []byte) ([]byte, error) {
	from := time.Now()
	rsp, err := s.Conn.Send(command)
	s.spent.Add(int64(time.Since(from)))
	s.commands.Add(1)
	return rsp, err
}

// A bench is a TPM whose wire is measured.
type bench struct {
	*tpm.Driver
	spent, commands atomic.Int64
}

func newBench(b *testing.B, profile func(uint32) time.Duration) *bench {
	b.Helper()
	w := testtoken.NewWire(testtoken.NewSWTPM(b).Dial)
	m := new(bench)
	d, err := tpm.Open(tpm.Config{Dial: func() (transport.TPMCloser, error) {
		c, err := w.Dial()
		return stopwatch{c, &m.spent, &m.commands}, err
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { d.Close() })
	w.Delay(profile)
	m.Driver = d
	return m
}

// run measures an operation, and reports it as a multiple of the time on the wire.
func (m *bench) run(b *testing.B, callers int, act func() error) {
	b.Helper()
	if err := act(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
	m.spent.Store(0)
	m.commands.Store(0)
	b.ResetTimer()
	if callers == 1 {
		for range b.N {
			if err := act(); err != nil {
				b.Fatal(err)
			}
		}
	} else {
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if err := act(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	if spent := m.spent.Load(); spent > 0 {
		b.ReportMetric(float64(b.Elapsed())/float64(spent), "x-wire")
	}
	b.ReportMetric(float64(m.commands.Load())/float64(b.N), "commands/op")
}

var benchProfiles = map[string]func(uint32) time.Duration{"software": nil, "chip": testtoken.DiscreteChip}

// BenchmarkDriver measures the driver alone.
func BenchmarkDriver(b *testing.B) {
	for name, profile := range benchProfiles {
		m := newBench(b, profile)
		k := openAs[driver.PRF](b, m.Driver, generate(b, m.Driver, hmacSpec))
		signer := openAs[driver.Signer](b, m.Driver, generate(b, m.Driver, p256Spec))
		input, digest := make([]byte, 64), make([]byte, 32)
		for _, callers := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/HMAC/callers=%d", name, callers), func(b *testing.B) {
				m.run(b, callers, func() error {
					_, err := k.PRF(context.Background(), make([]byte, 0, 32), input)
					return err
				})
			})
			b.Run(fmt.Sprintf("%s/SignP256/callers=%d", name, callers), func(b *testing.B) {
				m.run(b, callers, func() error {
					_, err := signer.Sign(context.Background(), driver.ECDSASHA256, digest)
					return err
				})
			})
		}
	}
}

// BenchmarkVault measures the vault over the driver, with its durable audit: signatures
// and MACs in the TPM, and Encrypt under a wrapped key, which sends no command.
func BenchmarkVault(b *testing.B) {
	for name, profile := range benchProfiles {
		m := newBench(b, profile)
		v, err := vault.Create(context.Background(), filepath.Join(b.TempDir(), "vault"), vault.Config{
			Drivers: map[string]driver.Driver{"tpm": m.Driver}, Driver: "tpm", AcceptLossWithMachine: true,
		}, protector(b, m.Driver, tpm.Policy{}))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { v.Close() })
		c := v.As(vault.DefaultOwner)
		key := func(o vault.KeyOptions) string {
			k, err := c.CreateKey(context.Background(), o)
			if err != nil {
				b.Fatal(err)
			}
			return string(k.ID)
		}
		message := make([]byte, 64)
		mac, signing, wrapped := key(vault.KeyOptions{Spec: vault.HMAC256, Driver: "tpm"}), key(vault.KeyOptions{Spec: vault.ECCP256, Usage: vault.SignVerify}), key(vault.KeyOptions{})
		for _, callers := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/HMAC/callers=%d", name, callers), func(b *testing.B) {
				m.run(b, callers, func() error {
					_, err := c.GenerateMac(context.Background(), mac, message)
					return err
				})
			})
			b.Run(fmt.Sprintf("%s/SignP256/callers=%d", name, callers), func(b *testing.B) {
				m.run(b, callers, func() error {
					_, err := c.Sign(context.Background(), signing, message, vault.SignOptions{})
					return err
				})
			})
			b.Run(fmt.Sprintf("%s/EncryptWrapped/callers=%d", name, callers), func(b *testing.B) {
				m.run(b, callers, func() error {
					_, err := c.Encrypt(context.Background(), wrapped, message, nil)
					return err
				})
			})
		}
	}
}
