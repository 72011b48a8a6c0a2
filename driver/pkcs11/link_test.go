//go:build cgo && unix

package pkcs11_test

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/testtoken"
)

// A crowd is 16 goroutines that use one key continuously. done counts the calls that
// succeeded.
type crowd struct {
	done, failed atomic.Int64
	stop         func()
}

func newCrowd(t *testing.T, v *victim) *crowd {
	t.Helper()
	c, all, ctx := &crowd{}, sync.WaitGroup{}, make(chan struct{})
	for range 16 {
		all.Go(func() {
			for {
				select {
				case <-ctx:
					return
				default:
				}
				limited, cancel := context.WithTimeout(context.Background(), deadline)
				got, err := v.key.PRF(limited, nil, []byte("input"))
				cancel()
				switch {
				case err == nil && !bytes.Equal(got, v.want):
					t.Errorf("PRF returned %x, want %x", got, v.want)
				case err == nil:
					c.done.Add(1)
				case is(err, driver.Unavailable) || is(err, driver.Unknown):
					c.failed.Add(1)
					time.Sleep(time.Millisecond)
				default:
					t.Errorf("PRF over a lost link: %v, want Unavailable", err)
					return
				}
			}
		})
	}
	c.stop = sync.OnceFunc(func() { close(ctx); all.Wait() })
	t.Cleanup(c.stop)
	return c
}

// recovers waits until every goroutine of the crowd can have made a call, and returns the
// time that this took.
func (c *crowd) recovers(t *testing.T) time.Duration {
	t.Helper()
	start, done := time.Now(), c.done.Load()
	for c.done.Load() < done+32 {
		if took := time.Since(start); took > recovery {
			t.Fatalf("no call succeeded in the %v after the connection was restored", took)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(start)
}

// TestLinkLost interrupts the connection under 16 goroutines and restores it. Every call,
// including C_GetInfo, fails from then on until C_Finalize and C_Initialize.
func TestLinkLost(t *testing.T) {
	for name, code := range map[string]uint32{"DEVICE_REMOVED": p11.CKR_DEVICE_REMOVED, "GENERAL_ERROR": p11.CKR_GENERAL_ERROR, "DEVICE_ERROR": p11.CKR_DEVICE_ERROR} {
		t.Run(name, func(t *testing.T) {
			faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
			c := newCrowd(t, newVictim(t, opened(t, faulty.PKCS11)))
			var slowest time.Duration
			for range cycles(t) {
				c.recovers(t)
				before := c.failed.Load()
				faulty.Cut(code)
				for start := time.Now(); c.failed.Load() == before; time.Sleep(time.Millisecond) {
					if time.Since(start) > recovery {
						t.Fatal("no call failed while the connection was interrupted")
					}
				}
				faulty.Join()
				slowest = max(slowest, c.recovers(t))
			}
			c.stop()
			t.Logf("in use again after at most %v", slowest)
		})
	}
}

// TestOpenOverALostLink: a driver that is opened after the connection was lost works,
// although another driver opened the module before and makes no calls.
func TestOpenOverALostLink(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	v := newVictim(t, opened(t, faulty.PKCS11))
	faulty.Cut(p11.CKR_DEVICE_REMOVED)
	faulty.Join()
	newVictim(t, opened(t, faulty.PKCS11)).mustWork(t, "opened after the link was lost")
	v.mustWork(t, "opened before the link was lost")
}

// TestFinalizeFailsOnce: a module whose C_Finalize fails is still owned, and the next
// repair finalises it.
func TestFinalizeFailsOnce(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	v := newVictim(t, opened(t, faulty.PKCS11))
	faulty.Fail(testtoken.CFinalize, p11.CKR_GENERAL_ERROR, 1, false)
	faulty.Cut(p11.CKR_DEVICE_REMOVED)
	faulty.Join()
	backWithin(t, v, recovery)
}

// TestServerKilled kills p11-kit's remoting server under 16 goroutines and starts it
// again.
func TestServerKilled(t *testing.T) {
	token, server := testtoken.NewP11KitServer(t)
	c := newCrowd(t, newVictim(t, opened(t, token)))
	var slowest time.Duration
	for range cycles(t) {
		c.recovers(t)
		before := c.failed.Load()
		server.Kill(t)
		for start := time.Now(); c.failed.Load() == before; time.Sleep(time.Millisecond) {
			if time.Since(start) > recovery {
				t.Fatal("no call failed while the server was away")
			}
		}
		server.Start(t)
		slowest = max(slowest, c.recovers(t))
	}
	c.stop()
	t.Logf("in use again after at most %v", slowest)
}
