package vaultsuite

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/vault"
)

// callers is the number of goroutines that use one vault concurrently.
const callers = 16

// disableRacesEncrypt: a key is disabled while it is in use. In the order of the audit
// log, there is no encryption between an acknowledged Disable and the next Enable.
func disableRacesEncrypt(t *testing.T, s *subject) {
	ctx, c := t.Context(), s.shared.owner()
	k := s.shared.createSymmetric(t).ID
	var stop atomic.Bool
	var used atomic.Int64
	var users sync.WaitGroup
	for range callers {
		users.Go(func() {
			for !stop.Load() {
				_, err := c.Encrypt(ctx, k, nil, nil)
				if err == nil {
					used.Add(1)
				}
				if err != nil && !errors.Is(err, vault.ErrKeyState) && !errors.Is(err, vault.ErrThrottled) {
					t.Errorf("Encrypt: %v", err)
					return
				}
			}
		})
	}
	for range 10 {
		for before := used.Load(); used.Load() == before && !t.Failed(); {
			time.Sleep(time.Millisecond) // until the key is in use
		}
		if err := errors.Join(c.DisableKeys(ctx, k), c.EnableKeys(ctx, k)); err != nil {
			t.Error(err)
		}
	}
	if err := c.DisableKeys(ctx, k); err != nil {
		t.Error(err)
	}
	stop.Store(true)
	users.Wait()
	checkOrder(t, s.shared, k)
}

// checkOrder checks that the log has no use of a key between a Disable and the next
// Enable.
func checkOrder(t *testing.T, x *home, k string) {
	t.Helper()
	uses, disabled := 0, false
	for r, err := range x.owner().AuditRecords(t.Context(), audit.Filter{Key: k, Result: audit.OK}) {
		if err != nil {
			t.Fatal(err)
		}
		switch vault.Operation(r.Operation) {
		case vault.OpDisableKey:
			disabled = true
		case vault.OpEnableKey:
			disabled = false
		case vault.OpEncrypt:
			if uses++; disabled {
				t.Errorf("audit record %d is an encryption while the key is disabled", r.Seq)
			}
		}
	}
	if uses == 0 || !disabled {
		t.Errorf("%d uses, disabled at the end: %v, want some uses and true", uses, disabled)
	}
}

// concurrent: keys of every usage give correct results to concurrent callers.
func concurrent(t *testing.T, s *subject) {
	for _, r := range s.each() {
		m := s.sample(t, s.shared, r)
		var users sync.WaitGroup
		for range callers {
			users.Go(func() {
				for _, a := range actsOf(r.usage) {
					if err := a.run(t.Context(), s.shared.owner(), m); err != nil {
						t.Errorf("%s by %s: %v", a.op, r, err)
					}
				}
			})
		}
		users.Wait()
	}
}
