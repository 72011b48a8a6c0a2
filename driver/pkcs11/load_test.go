//go:build cgo && unix

package pkcs11_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/testtoken"
)

// TestManyOperations runs 100,000 operations, or STRONGROOM_PKCS11_OPERATIONS, from 16
// goroutines.
func TestManyOperations(t *testing.T) {
	operations := heavy.Count(t, "STRONGROOM_PKCS11_OPERATIONS", 100_000)
	v := newTestKey(t, openedBasic(t, testtoken.NewSoftHSM(t)))
	var all sync.WaitGroup
	start := time.Now()
	for range 16 {
		all.Go(func() {
			for range operations / 16 {
				if err := v.use(t); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d operations in %v", operations, time.Since(start))
}

// TestSessionsExhausted: the token has three sessions, one of which is the anchor. 16
// callers share the other two.
func TestSessionsExhausted(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	v := newTestKey(t, openedBasic(t, faulty.PKCS11))
	other := newRawSession(t, faulty.PKCS11)
	faulty.Sessions(3)
	for range cycles(t) {
		// Ends all sessions, so that all callers need new ones at once.
		if err := other.Finalize(); err != nil {
			t.Fatal(err)
		}
		faulty.ForgetSessions()
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				if err := v.use(t); err != nil {
					t.Errorf("a call with three sessions: %v", err)
				}
			})
		}
		all.Wait()
	}
	faulty.Sessions(0)
}

// TestNoSessionAtAll: other programs hold all sessions. No call waits for ever, and calls
// work again once a session is free.
func TestNoSessionAtAll(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	v := newTestKey(t, openedBasic(t, faulty.PKCS11))
	other := newRawSession(t, faulty.PKCS11)
	for range cycles(t) {
		if err := other.Finalize(); err != nil {
			t.Fatal(err)
		}
		faulty.Fail(testtoken.COpenSession, 0xB1, 1000, false)
		if err := v.use(t); !is(err, driver.Throttled) && !is(err, driver.Unavailable) {
			t.Errorf("a call without sessions: %v, want Throttled or Unavailable", err)
		}
		faulty.Fail(testtoken.COpenSession, 0, 0, false)
		recoversSoon(t, v)
	}
}

// recoversSoon waits until a call succeeds.
func recoversSoon(t *testing.T, v *testKey) {
	t.Helper()
	soon(t, "a call succeeds again", func() bool { return v.use(t) == nil })
}

// TestWaitingEndsWithContext: a call that hangs holds the only session. The next caller gives
// up when its context ends, and does not call the token.
func TestWaitingEndsWithContext(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	c := basicConfig(faulty.PKCS11)
	c.MaxSessions = 1
	v := newTestKey(t, openedWith(t, c))
	signed := faulty.Calls(testtoken.CSign)
	faulty.Hang(testtoken.CSign)
	defer faulty.Release()
	var holder sync.WaitGroup
	holder.Go(func() {
		if out, err := v.key.PRF(context.Background(), nil, []byte("input")); err != nil || !bytes.Equal(out, v.want) {
			t.Errorf("the call that hung returns %x, %v", out, err)
		}
	})
	faulty.AwaitHang(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := v.key.PRF(ctx, nil, []byte("input")); err != context.DeadlineExceeded {
		t.Errorf("PRF while the only session is in use: %v, want DeadlineExceeded", err)
	}
	faulty.Release()
	holder.Wait()
	if n := faulty.Calls(testtoken.CSign) - signed; n != 1 {
		t.Errorf("C_Sign was called %d times, want 1", n)
	}
}

// TestNoLookupPerCall: a handle that was found is reused, so that the cost of a call does
// not depend on the number of objects in the token.
func TestNoLookupPerCall(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	v := newTestKey(t, openedBasic(t, faulty.PKCS11))
	lookups, sessions := faulty.Calls(testtoken.CFindObjectsInit), faulty.Calls(testtoken.COpenSession)
	for range 100 {
		v.mustWork(t, "one of many")
	}
	if n := faulty.Calls(testtoken.CFindObjectsInit) - lookups; n != 0 {
		t.Errorf("100 calls searched for objects %d times, want 0", n)
	}
	if n := faulty.Calls(testtoken.COpenSession) - sessions; n != 0 {
		t.Errorf("100 calls opened %d sessions, want 0", n)
	}
}
