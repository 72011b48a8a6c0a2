//go:build cgo && unix

package pkcs11_test

import (
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/testtoken"
)

// recovery is the longest time after its return for which a token may be unusable.
const recovery = 2 * time.Second

// TestTokenAwayAndBack moves the token's directory away and back. While it is away, calls
// fail with Unavailable, and never with NotFound, which would mean that the key is lost.
func TestTokenAwayAndBack(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	d := opened(t, token)
	v := newVictim(t, d)
	var slowest time.Duration
	for range cycles(t) {
		token.TakeAway(t)
		isAway(t, v)
		token.PutBack(t)
		slowest = max(slowest, backWithin(t, v, recovery))
	}
	t.Logf("in use again after at most %v", slowest)
}

// backWithin repeats a call until it succeeds, and returns the time that this took.
func backWithin(t *testing.T, v *victim, limit time.Duration) time.Duration {
	t.Helper()
	back := time.Now()
	for err := v.use(t); err != nil; err = v.use(t) {
		if !is(err, driver.Unavailable) && !is(err, driver.Denied) || time.Since(back) > limit {
			t.Fatalf("%v after the token is back: %v", time.Since(back), err)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(back)
}

// isAway checks that every operation fails with Unavailable.
func isAway(t *testing.T, v *victim) {
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

// TestFirstLookupWhileAway: the first call to a token that is away is a lookup, which
// finds nothing and reports no error.
func TestFirstLookupWhileAway(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	d := opened(t, token)
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
		for back := time.Now(); time.Since(back) < recovery; time.Sleep(time.Millisecond) {
			if _, err := d.OpenKey(t.Context(), freshID(), derive, nil); is(err, driver.NotFound) {
				break
			}
		}
	}
	newVictim(t, d).mustWork(t, "afterwards")
}

// TestOneGoroutineProbes: while a token is away, concurrent callers do not all try to
// repair it at once.
func TestOneGoroutineProbes(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	faulty := testtoken.NewFaulty(t, token)
	v := newVictim(t, opened(t, faulty.PKCS11))
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
