//go:build cgo && unix

package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testtoken"
)

func TestMain(m *testing.M) { os.Exit(testtoken.Main(m)) }

// A tokenCall is an operation of a token, with its name in the raw loop.
type tokenCall struct {
	name string
	spec driver.KeySpec
	call func(ctx context.Context, k driver.Key, dst []byte) error
}

func tokenCalls() []tokenCall {
	digest, text := make([]byte, 32), make([]byte, 1024)
	return []tokenCall{
		{"hmac", driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}, func(ctx context.Context, k driver.Key, dst []byte) error {
			_, err := k.(driver.PRF).PRF(ctx, dst, text[:60])
			return err
		}},
		{"gcm", driver.KeySpec{Algorithm: driver.AES256GCM, Usage: driver.Seal}, func(ctx context.Context, k driver.Key, dst []byte) error {
			_, err := k.(driver.AEAD).Seal(ctx, dst, text, nil)
			return err
		}},
		{"ecdsa", driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}, func(ctx context.Context, k driver.Key, _ []byte) error {
			_, err := k.(driver.Signer).Sign(ctx, driver.ECDSASHA256, digest)
			return err
		}},
		{"rsa", driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Sign}, func(ctx context.Context, k driver.Key, _ []byte) error {
			_, err := k.(driver.Signer).Sign(ctx, driver.RSAPKCS1SHA256, digest)
			return err
		}},
	}
}

// BenchmarkPKCS11 compares the driver with a bare loop of C calls on the same key of a
// SoftHSM token. The two take turns, each long enough that the start of threads is
// negligible. It reports medians of both, and of the ratios of neighbouring turns.
//
// Both do the same work: C_xxxInit and C_xxx for each operation, of the same lengths,
// with a session for each caller and one reading of the clock. The driver draws each IV
// where the loop counts, and encodes an ECDSA signature as DER.
func BenchmarkPKCS11(b *testing.B) {
	const turn = 200 * time.Millisecond
	token := testtoken.NewSoftHSM(b)
	d := newToken(b, token, 0)
	for _, m := range tokenCalls() {
		id, k := newTokenKey(b, d, m.spec)
		raw := testtoken.NewRawLoop(b, token, id.String(), m.name)
		for _, callers := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/callers=%d", m.name, callers), func(b *testing.B) {
				lists := make(map[string][]float64)
				for b.Loop() {
					r := raw.Run(b, turn, callers)
					o := drive(b, turn, callers, func(dst []byte) error { return m.call(context.Background(), k, dst) })
					lists["raw-ns/op"] = append(lists["raw-ns/op"], float64(r.Wall))
					lists["driver-ns/op"] = append(lists["driver-ns/op"], float64(o.Wall))
					lists["x-raw"] = append(lists["x-raw"], float64(o.Wall)/float64(r.Wall))
					lists["x-raw-cpu"] = append(lists["x-raw-cpu"], float64(o.CPU)/float64(r.CPU))
				}
				for unit, list := range lists {
					b.ReportMetric(median(list), unit)
				}
			})
		}
	}
}

// BenchmarkPKCS11Latency measures a token of 1 ms a call with more callers than sessions.
// "x-pool/latency" is the throughput divided by that of sessions that are always busy,
// computed from the time for one caller.
func BenchmarkPKCS11Latency(b *testing.B) {
	const sessions, callers = 8, 16
	token := testtoken.NewFaulty(b, testtoken.NewSoftHSM(b))
	m := tokenCalls()[0]
	_, k := newTokenKey(b, newToken(b, token.PKCS11, sessions), m.spec)
	call := func(dst []byte) error { return m.call(context.Background(), k, dst) }
	drive(b, 10*time.Millisecond, callers, call) // opens the sessions
	token.Slow(time.Millisecond)
	defer token.Slow(0)
	var list []float64
	for b.Loop() {
		one, many := drive(b, 100*time.Millisecond, 1, call), drive(b, 300*time.Millisecond, callers, call)
		list = append(list, float64(one.Wall)/float64(many.Wall)/sessions)
	}
	b.ReportMetric(median(list), "x-pool/latency")
}

// BenchmarkPKCS11Objects fills a token with keys. "x-few" is the time of an operation
// divided by its time before.
func BenchmarkPKCS11Objects(b *testing.B) {
	const many = 200
	d := newToken(b, testtoken.NewSoftHSM(b), 0)
	m := tokenCalls()[0]
	_, k := newTokenKey(b, d, m.spec)
	turn := func() float64 {
		return float64(drive(b, 200*time.Millisecond, 1, func(dst []byte) error { return m.call(context.Background(), k, dst) }).Wall)
	}
	var few, full []float64
	for range 5 {
		few = append(few, turn())
	}
	for range many {
		newTokenKey(b, d, m.spec)
	}
	for b.Loop() {
		full = append(full, turn())
	}
	b.ReportMetric(median(full)/median(few), "x-few")
}

// newToken opens a token. It is closed when the benchmark ends.
func newToken(b *testing.B, token testtoken.PKCS11, sessions int) driver.Driver {
	b.Helper()
	d, err := pkcs11.Open(b.Context(), pkcs11.Config{
		Module: token.Module, Label: token.Label, PIN: pkcs11.PIN{File: token.PINFile}, MaxSessions: sessions,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := d.Close(); err != nil {
			b.Error(err)
		}
	})
	return d
}

// newTokenKey generates a key in the token and opens it.
func newTokenKey(b *testing.B, d driver.Driver, spec driver.KeySpec) (id driver.MaterialID, k driver.Key) {
	b.Helper()
	rand.Read(id[:])
	if _, err := d.GenerateKey(b.Context(), id, spec); err != nil {
		b.Fatal(err)
	}
	k, err := d.OpenKey(b.Context(), id, spec, nil)
	if err != nil {
		b.Fatal(err)
	}
	return id, k
}
