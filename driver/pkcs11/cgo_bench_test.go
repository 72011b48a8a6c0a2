//go:build cgo && unix

package pkcs11

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/object"
	"strongroom.example/internal/testing/testtoken"
)

// A benched is one operation, as a driver call and as a bare call into C.
type benched struct {
	name   string
	spec   driver.KeySpec
	driver func(k driver.Key, dst []byte) error
	bare   func(k driver.Key, s object.Session, dst []byte) error
}

func benchedCalls() []benched {
	message := make([]byte, 60)
	return []benched{
		{"hmac", driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive},
			func(k driver.Key, dst []byte) error {
				_, err := k.(*prfKey).PRF(context.Background(), dst[:0], message)
				return err
			},
			func(k driver.Key, s object.Session, dst []byte) error {
				_, err := k.(*prfKey).object.HMAC(s, dst[:32], message)
				return err
			}},
		{"ecdsa", driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign},
			func(k driver.Key, _ []byte) error {
				_, err := k.(*signKey).Sign(context.Background(), driver.ECDSASHA256, message[:32])
				return err
			},
			func(k driver.Key, s object.Session, _ []byte) error {
				_, err := k.(*signKey).object.Sign(s, driver.ECDSASHA256, message[:32])
				return err
			}},
	}
}

// BenchmarkOverCgo compares the driver with goroutines that call into C, each in a
// session of its own, without pool, counting and repair. "x-cgo" is the driver's time
// divided by theirs. The bench package compares with threads in C; its further difference
// is the cost of cgo and the module's own locks.
func BenchmarkOverCgo(b *testing.B) {
	const turn, most = 200 * time.Millisecond, 8
	token := testtoken.NewSoftHSM(b)
	d, err := Open(b.Context(), Config{Module: token.Module, Label: token.Label, PIN: PIN{File: token.PINFile}})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	for _, m := range benchedCalls() {
		k := benchedKey(b, d, m.spec)
		for _, callers := range []int{1, most} {
			b.Run(fmt.Sprintf("%s/callers=%d", m.name, callers), func(b *testing.B) {
				var ratios []float64
				for b.Loop() {
					bare := each(b, turn, callers, func(repeat func(func(dst []byte) error) error) error {
						return d.client.Run(b.Context(), func(s object.Session) error {
							return repeat(func(dst []byte) error { return m.bare(k, s, dst) })
						})
					})
					through := each(b, turn, callers, func(repeat func(func(dst []byte) error) error) error {
						return repeat(func(dst []byte) error { return m.driver(k, dst) })
					})
					ratios = append(ratios, through/bare)
				}
				slices.Sort(ratios)
				b.ReportMetric(ratios[len(ratios)/2], "x-cgo")
			})
		}
	}
}

func benchedKey(b *testing.B, d *Driver, spec driver.KeySpec) driver.Key {
	b.Helper()
	var id driver.MaterialID
	rand.Read(id[:])
	if _, err := d.GenerateKey(b.Context(), id, spec); err != nil {
		b.Fatal(err)
	}
	k, err := d.OpenKey(b.Context(), id, spec, nil)
	if err != nil {
		b.Fatal(err)
	}
	return k
}

// each runs loop in several goroutines for one turn, and returns the time of one call in
// seconds. loop passes the call that it repeats.
func each(b *testing.B, turn time.Duration, callers int, loop func(repeat func(call func(dst []byte) error) error) error) float64 {
	b.Helper()
	var done atomic.Int64
	var all sync.WaitGroup
	begin := time.Now()
	repeat := func(call func(dst []byte) error) error {
		dst := make([]byte, 2048)
		for time.Since(begin) < turn {
			if err := call(dst); err != nil {
				return err
			}
			done.Add(1)
		}
		return nil
	}
	for range callers {
		all.Go(func() {
			if err := loop(repeat); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
	return time.Since(begin).Seconds() / float64(max(1, done.Load()))
}
