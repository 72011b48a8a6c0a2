//go:build cgo && unix

package pkcs11_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/internal/testing/testtoken"
)

// soon waits until a condition holds, which must take two seconds at most, and longer only on a
// machine that is busy. The driver may let up to one of the two pass before it tries a token again.
// soon returns the time that it took.
func soon(t *testing.T, what string, done func() bool) time.Duration {
	t.Helper()
	lag := poll.Lag()
	took := poll.Within(t, poll.Limit, what, done)
	if late := lag(); took > 2*time.Second+20*late {
		t.Errorf("%s after %v, where timers are %v late, want 2 s", what, took, late)
	}
	return took
}

// TestTokenRemovedAndInserted moves the token's directory away and back. While it is
// away, calls fail with Unavailable, and never with NotFound, which would mean that the
// key is lost.
func TestTokenRemovedAndInserted(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	d := openedBasic(t, token)
	v := newTestKey(t, d)
	var slowest time.Duration
	for range cycles(t) {
		token.TakeAway(t)
		isUnavailable(t, v)
		token.PutBack(t)
		slowest = max(slowest, recovers(t, v))
	}
	t.Logf("in use again after at most %v", slowest)
}

// recovers repeats a call until it succeeds, and returns the time that this took.
func recovers(t *testing.T, v *testKey) time.Duration {
	t.Helper()
	return soon(t, "a call succeeds after the token is back", func() bool {
		err := v.use(t)
		if err != nil && !is(err, driver.Unavailable) && !is(err, driver.Denied) {
			t.Fatalf("a call after the token is back: %v, want nil, Unavailable or Denied", err)
		}
		return err == nil
	})
}

// isUnavailable checks that every operation fails with Unavailable.
func isUnavailable(t *testing.T, v *testKey) {
	t.Helper()
	ctx := t.Context()
	away := func(what string, err error) {
		t.Helper()
		if !is(err, driver.Unavailable) {
			t.Fatalf("%s while the token is away: %v, want Unavailable", what, err)
		}
	}
	away("PRF", v.use(t))
	_, err := v.d.OpenKey(ctx, v.id, derive, nil)
	away("OpenKey", err)
	_, err = v.d.GenerateKey(ctx, freshID(), derive)
	away("GenerateKey", err)
	away("DestroyKey", v.d.DestroyKey(ctx, v.id, nil))
	for _, err := range v.d.(driver.Lister).ListKeys(ctx) {
		away("ListKeys", err)
	}
}

// TestFirstLookupWhileRemoved: the first call to a token that is away is a lookup, which
// finds nothing and reports no error.
func TestFirstLookupWhileRemoved(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	d := openedBasic(t, token)
	for _, ask := range []func() error{
		func() error { _, err := d.OpenKey(t.Context(), freshID(), derive, nil); return err },
		func() error { return d.DestroyKey(t.Context(), freshID(), nil) },
		func() error {
			for _, err := range d.(driver.Lister).ListKeys(t.Context()) {
				return err
			}
			return nil
		},
	} {
		token.TakeAway(t)
		if err := ask(); !is(err, driver.Unavailable) {
			t.Errorf("the first lookup while the token is away: %v, want Unavailable", err)
		}
		token.PutBack(t)
		soon(t, "the token is searched again", func() bool {
			_, err := d.OpenKey(t.Context(), freshID(), derive, nil)
			return is(err, driver.NotFound)
		})
	}
	newTestKey(t, d).mustWork(t, "afterwards")
}

// TestOneGoroutineProbes: while a token is away, concurrent callers do not all try to
// repair it at once.
func TestOneGoroutineProbes(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	faulty := testtoken.NewFaulty(t, token)
	v := newTestKey(t, openedBasic(t, faulty.PKCS11))
	token.TakeAway(t)
	defer token.PutBack(t)
	v.use(t)
	logins, calls := faulty.Calls(testtoken.COpenSession), 0
	for start := time.Now(); time.Since(start) < 300*time.Millisecond; calls++ {
		if err := v.use(t); !is(err, driver.Unavailable) {
			t.Fatal(err)
		}
	}
	if tried := faulty.Calls(testtoken.COpenSession) - logins; tried > 40 {
		t.Errorf("%d calls in 300 ms opened %d sessions, want at most 40", calls, tried)
	}
}

// TestClone: a token with the label, keys and PIN of the removed one and another serial
// number is not accepted by the running driver, whose error says what to do. The next
// start accepts it.
func TestClone(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	d := open(t, token)
	v := newTestKey(t, d)
	token.TakeAway(t)
	isUnavailable(t, v)
	clone := token.ChangeSerial(t, d.Info().Device.Serial)
	token.PutBack(t)
	poll.Until(t, "a call's error names the serial number of the clone", func() bool {
		err := v.use(t)
		if !is(err, driver.Unavailable) {
			t.Fatalf("a call with the clone in the slot: %v, want Unavailable", err)
		}
		return strings.Contains(err.Error(), clone)
	})
	d.Close()
	d = opened(t, token)
	if got := d.Info().Device.Serial; got != clone {
		t.Errorf("the next start opened the token %s, want %s", got, clone)
	}
	key, err := d.OpenKey(t.Context(), v.id, derive, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	if got, err := key.(driver.PRF).PRF(t.Context(), nil, []byte("input")); err != nil || !bytes.Equal(got, v.want) {
		t.Errorf("PRF with the clone: %x, %v, want %x", got, err, v.want)
	}
}
