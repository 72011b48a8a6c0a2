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
	"strongroom.example/internal/testing/testtoken"
)

// concurrentCalls are 16 goroutines that use one key continuously. done counts the calls
// that succeeded.
type concurrentCalls struct {
	done, failed atomic.Int64
	stop         func()
}

func newConcurrentCalls(t *testing.T, v *testKey) *concurrentCalls {
	t.Helper()
	c, all, ctx := &concurrentCalls{}, sync.WaitGroup{}, make(chan struct{})
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
					select { // the device is away; do not ask it without a pause
					case <-ctx:
						return
					case <-time.After(time.Millisecond):
					}
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

// recovers waits until each of the goroutines can have made a call, and returns the
// time that this took.
func (c *concurrentCalls) recovers(t *testing.T) time.Duration {
	t.Helper()
	done := c.done.Load()
	return soon(t, "calls succeed over the restored connection", func() bool { return c.done.Load() >= done+32 })
}

// TestLinkLost interrupts the connection under 16 goroutines and restores it. Every call,
// including C_GetInfo, fails from then on until C_Finalize and C_Initialize.
func TestLinkLost(t *testing.T) {
	for name, code := range map[string]uint32{"DEVICE_REMOVED": p11.CKR_DEVICE_REMOVED, "GENERAL_ERROR": p11.CKR_GENERAL_ERROR, "DEVICE_ERROR": p11.CKR_DEVICE_ERROR} {
		t.Run(name, func(t *testing.T) {
			faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
			c := newConcurrentCalls(t, newTestKey(t, openedBasic(t, faulty.PKCS11)))
			var slowest time.Duration
			for range cycles(t) {
				c.recovers(t)
				before := c.failed.Load()
				faulty.Cut(code)
				soon(t, "a call fails while the connection is interrupted", func() bool { return c.failed.Load() > before })
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
	v := newTestKey(t, openedBasic(t, faulty.PKCS11))
	faulty.Cut(p11.CKR_DEVICE_REMOVED)
	faulty.Join()
	newTestKey(t, openedBasic(t, faulty.PKCS11)).mustWork(t, "opened after the link was lost")
	v.mustWork(t, "opened before the link was lost")
}

// TestFinalizeFailsOnce: a module whose C_Finalize fails is still owned, and the next
// repair finalises it.
func TestFinalizeFailsOnce(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	v := newTestKey(t, openedBasic(t, faulty.PKCS11))
	faulty.Fail(testtoken.CFinalize, p11.CKR_GENERAL_ERROR, 1, false)
	faulty.Cut(p11.CKR_DEVICE_REMOVED)
	faulty.Join()
	recovers(t, v)
}

// TestServerKilled kills p11-kit's remoting server under 16 goroutines and starts it
// again.
func TestServerKilled(t *testing.T) {
	token, server := testtoken.NewP11KitServer(t)
	c := newConcurrentCalls(t, newTestKey(t, openedBasic(t, token)))
	var slowest time.Duration
	for range cycles(t) {
		c.recovers(t)
		before := c.failed.Load()
		server.Kill(t)
		soon(t, "a call fails while the server is away", func() bool { return c.failed.Load() > before })
		server.Start(t)
		slowest = max(slowest, c.recovers(t))
	}
	c.stop()
	t.Logf("in use again after at most %v", slowest)
}
