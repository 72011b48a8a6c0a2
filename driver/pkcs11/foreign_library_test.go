//go:build cgo && unix

package pkcs11_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/internal/testing/testtoken"
)

// cycles returns how often a fault is injected: 10 times, or STRONGROOM_FAULT_CYCLES.
func cycles(t *testing.T) int {
	t.Helper()
	return heavy.Count(t, "STRONGROOM_FAULT_CYCLES", 10)
}

// A testKey is a derivation key on a token, with the expected result.
type testKey struct {
	d    driver.Driver
	id   driver.MaterialID
	key  driver.PRF
	want []byte
}

var (
	derive      = driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}
	decryptSpec = driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Decrypt}
)

func newTestKey(t *testing.T, d driver.Driver) *testKey {
	t.Helper()
	v := &testKey{d: d, id: freshID()}
	if _, err := d.GenerateKey(t.Context(), v.id, derive); err != nil {
		t.Fatal(err)
	}
	opened, err := d.OpenKey(t.Context(), v.id, derive, nil)
	if err != nil {
		t.Fatal(err)
	}
	v.key = opened.(driver.PRF)
	if v.want, err = v.key.PRF(t.Context(), nil, []byte("input")); err != nil {
		t.Fatal(err)
	}
	return v
}

func freshID() (id driver.MaterialID) {
	rand.Read(id[:])
	return id
}

// deadline is the limit for every call in the fault tests.
const deadline = poll.Limit

// use makes one call. It fails the test for a wrong result or a hang.
func (v *testKey) use(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	start := time.Now()
	got, err := v.key.PRF(ctx, nil, []byte("input"))
	if err == nil && !bytes.Equal(got, v.want) {
		t.Fatalf("PRF: %x, want %x", got, v.want)
	}
	if took := time.Since(start); took > deadline+poll.Limit {
		t.Fatalf("a call took %v", took)
	}
	return err
}

func (v *testKey) mustWork(t *testing.T, when string) {
	t.Helper()
	if err := v.use(t); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
}

// An rawSession is another user of the module in this process. It uses the driver's
// function list, because another list may belong to another instance of the module.
type rawSession struct {
	*p11.Ctx
	token testtoken.PKCS11
}

func newRawSession(t *testing.T, token testtoken.PKCS11) rawSession {
	t.Helper()
	ctx, err := pkcs11.ModuleContext(token.Module)
	if err != nil {
		t.Fatal(err)
	}
	return rawSession{ctx, token}
}

// slot returns the token's slot, which changes with each initialisation.
func (i rawSession) slot(t *testing.T) uint {
	t.Helper()
	slots, err := i.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots {
		if info, err := i.GetTokenInfo(slot); err == nil && info.Label == i.token.Label {
			return slot
		}
	}
	t.Fatalf("no slot has the token %s", i.token.Label)
	return 0
}

// TestSessionsClosedByAnother: another library closes every session of the token, which
// also ends the login.
func TestSessionsClosedByAnother(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		v, other := newTestKey(t, openedBasic(t, token)), newRawSession(t, token)
		for range cycles(t) {
			if err := other.CloseAllSessions(other.slot(t)); err != nil {
				t.Fatal(err)
			}
			v.mustWork(t, "after all sessions were closed")
		}
	})
}

// TestSessionsClosedDuringCalls: 8 goroutines find their sessions closed at the same time.
// They make no calls while the sessions are being closed, because SoftHSM crashes if a
// session is closed during a call in it.
func TestSessionsClosedDuringCalls(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	v, other := newTestKey(t, openedBasic(t, token)), newRawSession(t, token)
	var calls sync.RWMutex
	stop := make(chan struct{})
	var all sync.WaitGroup
	var used atomic.Int64
	for range 8 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				calls.RLock()
				err := v.use(t)
				calls.RUnlock()
				used.Add(1)
				if err != nil {
					t.Errorf("a call among 8 goroutines after all sessions were closed: %v", err)
					return
				}
			}
		})
	}
	for range cycles(t) {
		calls.Lock()
		err := other.CloseAllSessions(other.slot(t))
		calls.Unlock()
		if err != nil {
			t.Error(err)
		}
		before := used.Load()
		poll.Until(t, "the sessions are used again", func() bool { return used.Load() >= before+8 })
	}
	close(stop)
	all.Wait()
}

// TestLogoutByAnother ends the login but not the sessions. It does not run on NSS, which
// crashes on a handle from before a logout.
func TestLogoutByAnother(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	v, other := newTestKey(t, openedBasic(t, token)), newRawSession(t, token)
	for range cycles(t) {
		s, err := other.OpenSession(other.slot(t), p11.CKF_SERIAL_SESSION)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Logout(s); err != nil {
			t.Fatal(err)
		}
		v.mustWork(t, "after a logout")
		other.CloseSession(s)
	}
}

// TestModuleFinalizedByAnother: after it, slots, sessions and handles are all new.
func TestModuleFinalizedByAnother(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		d := openedBasic(t, token)
		v, other := newTestKey(t, d), newRawSession(t, token)
		for range cycles(t) {
			if err := other.Finalize(); err != nil {
				t.Fatal(err)
			}
			v.mustWork(t, "after the module was finalised")
		}
		if _, err := d.OpenKey(t.Context(), v.id, derive, nil); err != nil {
			t.Errorf("OpenKey after the module was finalised: %v", err)
		}
	})
}

// TestModuleInitializedByAnother: the driver uses the module and does not finalise it.
func TestModuleInitializedByAnother(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	other := newRawSession(t, token)
	if err := other.Initialize(); err != nil {
		t.Fatal(err)
	}
	defer other.Finalize()
	s, err := other.OpenSession(other.slot(t), p11.CKF_SERIAL_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	d, err := pkcs11.Open(t.Context(), basicConfig(token))
	if err != nil {
		t.Fatal(err)
	}
	newTestKey(t, d).mustWork(t, "in an adopted module")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := other.GetSessionInfo(s); err != nil {
		t.Errorf("the session of the other user of the module: %v, want it still open", err)
	}
}
