package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testtoken"
	"strongroom.example/vault"
)

// The measured TPMs: swtpm itself, which is about a hundred times as fast as a chip, and
// swtpm with the latencies of a chip. The first shows whether the driver is fast enough;
// the second is what users have.
var tpms = []struct {
	name  string
	delay func(command uint32) time.Duration
}{{"software", nil}, {"chip", testtoken.DiscreteChip}}

// A tpmBench is a TPM with a driver on it.
type tpmBench struct {
	*tpm.Driver
	chip     *testtoken.SWTPM
	delay    func(command uint32) time.Duration
	path     path
	commands atomic.Int64
	busy     atomic.Int64 // nanoseconds during which commands were on the wire
}

// newTPMBench starts a TPM. It is fast until it is delayed.
func newTPMBench(b *testing.B, delay func(uint32) time.Duration) *tpmBench {
	b.Helper()
	m := &tpmBench{chip: testtoken.NewSWTPM(b), delay: delay}
	m.open(b, path{chip: m.chip})
	b.Cleanup(func() { m.Close() })
	return m
}

func (m *tpmBench) open(b *testing.B, p path) {
	b.Helper()
	m.path = p
	m.Driver = must(tpm.Open(tpm.Config{Dial: func() (transport.TPMCloser, error) {
		c, err := p.dial()
		return &counted{Conn: c, bench: m}, err
	}}))
}

// A counted counts the commands on a connection, and the time during which they are on
// it.
type counted struct {
	testtoken.Conn
	bench *tpmBench
	begun time.Time
}

func (c *counted) Post(command []byte) error {
	c.bench.commands.Add(1)
	c.begun = time.Now()
	return c.Conn.Post(command)
}

func (c *counted) Fetch() ([]byte, error) {
	rsp, err := c.Conn.Fetch()
	c.bench.busy.Add(int64(time.Since(c.begun)))
	return rsp, err
}

// A tpmKey is a resident key, and the measured operation with it.
type tpmKey struct {
	id   driver.MaterialID
	spec driver.KeySpec
	blob driver.Blob
	use  func(driver.Key) error
}

var tpmOperations = []string{"HMAC", "SignP256"}

func (m *tpmBench) newKey(b *testing.B, operation string) tpmKey {
	b.Helper()
	input := make([]byte, 64)
	k := tpmKey{spec: driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}, use: func(key driver.Key) error {
		_, err := key.(driver.PRF).PRF(context.Background(), nil, input)
		return err
	}}
	if operation == "SignP256" {
		k.spec = driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}
		k.use = func(key driver.Key) error {
			_, err := key.(driver.Signer).Sign(context.Background(), driver.ECDSASHA256, input[:32])
			return err
		}
	}
	k.blob = must(m.GenerateKey(b.Context(), k.id, k.spec)).Blob
	return k
}

func (m *tpmBench) openKey(b *testing.B, k tpmKey) driver.Key {
	b.Helper()
	return must(m.OpenKey(b.Context(), k.id, k.spec, k.blob))
}

// record records an operation, and then opens the TPM for the measurement.
func (m *tpmBench) record(b *testing.B, k tpmKey) recording {
	b.Helper()
	m.Close()
	p := path{m.chip, testtoken.NewWire(m.chip.Dial)}
	m.open(b, p)
	key := m.openKey(b, k)
	if err := k.use(key); err != nil {
		b.Fatal(err)
	}
	r := recording{from: m.chip.Freeze(b), delay: m.delay}
	p.wire.Record(true)
	for range m.length(k) {
		if err := k.use(key); err != nil {
			b.Fatal(err)
		}
	}
	r.log = p.wire.Log()
	m.Close()
	m.open(b, through(m.chip, m.delay))
	return r
}

// length returns how many commands to record: those of a tenth of a second, or of a
// second on a chip.
func (m *tpmBench) length(k tpmKey) int {
	switch {
	case m.delay != nil:
		return 12
	case k.spec.Usage == driver.Sign:
		return 300
	}
	return 3000
}

// run measures an operation in rounds that alternate with replaying a recording. "x-wire"
// is the time of the operation divided by that of the replay; "x-busy" is the time
// divided by the time that its commands were on the wire.
func (m *tpmBench) run(b *testing.B, r recording, o tpmLoad) {
	b.Helper()
	if err := share(o.callers, 4*o.callers, o.act); err != nil {
		b.Fatal(err)
	}
	calls := max(1, b.N/Rounds)
	var ratio []float64
	var whole time.Duration
	m.commands.Store(0)
	m.busy.Store(0)
	b.ResetTimer()
	for range Rounds {
		b.StopTimer()
		played := r.play(b, o.callers)
		b.StartTimer()
		from := time.Now()
		if err := share(o.callers, calls, o.act); err != nil {
			b.Fatal(err)
		}
		took := time.Since(from)
		whole += took
		ratio = append(ratio, float64(took)/float64(calls)/float64(played))
	}
	b.ReportMetric(median(ratio), "x-wire")
	b.ReportMetric(float64(whole)/float64(m.busy.Load()), "x-busy")
	b.ReportMetric(float64(m.commands.Load())/float64(calls*Rounds), "commands/op")
}

// A tpmLoad is an operation and its number of concurrent callers.
type tpmLoad struct {
	callers int
	act     func() error
}

// BenchmarkTPM measures the TPM driver without a vault.
func BenchmarkTPM(b *testing.B) {
	for _, t := range tpms {
		for _, operation := range tpmOperations {
			m := newTPMBench(b, t.delay)
			k := m.newKey(b, operation)
			r := m.record(b, k)
			key := m.openKey(b, k)
			for _, callers := range []int{1, 8} {
				b.Run(fmt.Sprintf("%s/%s/callers=%d", t.name, operation, callers), func(b *testing.B) {
					m.run(b, r, tpmLoad{callers, func() error { return k.use(key) }})
				})
			}
		}
	}
}

// BenchmarkTPMVault measures the vault over a TPM, including the durable audit record.
// Encrypt under a wrapped key sends no command.
func BenchmarkTPMVault(b *testing.B) {
	for _, t := range tpms {
		m, r := newTPMBench(b, t.delay), make(map[string]recording)
		for _, operation := range tpmOperations {
			r[operation] = m.record(b, m.newKey(b, operation))
		}
		v := newTPMVault(b, m)
		for _, operation := range tpmOperations {
			for _, callers := range []int{1, 8} {
				b.Run(fmt.Sprintf("%s/%s/callers=%d", t.name, operation, callers), func(b *testing.B) {
					m.run(b, r[operation], tpmLoad{callers, v.act[operation]})
				})
			}
		}
		b.Run(t.name+"/EncryptWrapped", func(b *testing.B) {
			m.commands.Store(0)
			for b.Loop() {
				if err := v.act["EncryptWrapped"](); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(m.commands.Load())/float64(b.N), "commands/op")
		})
	}
}

// A tpmVault is a vault whose root and keys are in a TPM, with a key for each operation.
type tpmVault struct{ act map[string]func() error }

func newTPMVault(b *testing.B, m *tpmBench) tpmVault {
	b.Helper()
	if w := m.path.wire; w != nil {
		w.Delay(nil) // do not measure the generation of keys
		defer w.Delay(m.delay)
	}
	v := must(vault.Create(b.Context(), filepath.Join(b.TempDir(), "vault"), vault.Config{
		Drivers: map[string]driver.Driver{"tpm": m.Driver}, Driver: "tpm", AcceptLossWithMachine: true,
	}, must(m.Protector(tpm.Policy{}))))
	b.Cleanup(func() { v.Close() })
	c, ctx, message := v.As(vault.DefaultOwner), b.Context(), make([]byte, 64)
	key := func(o vault.KeyOptions) string { return must(c.CreateKey(ctx, o)).ID }
	mac := key(vault.KeyOptions{Spec: vault.HMAC256, Driver: "tpm"})
	signing := key(vault.KeyOptions{Spec: vault.ECCP256, Usage: vault.SignVerify})
	wrapped := key(vault.KeyOptions{})
	return tpmVault{map[string]func() error{
		"HMAC":           func() error { _, err := c.GenerateMac(ctx, mac, message); return err },
		"SignP256":       func() error { _, err := c.Sign(ctx, signing, message, vault.SignOptions{}); return err },
		"EncryptWrapped": func() error { _, err := c.Encrypt(ctx, wrapped, message, nil); return err },
	}}
}
