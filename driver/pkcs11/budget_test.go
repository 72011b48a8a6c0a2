//go:build cgo && unix

package pkcs11

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"strongroom.example/driver"
)

// TestBudgetDoubles: the first step is small, each further step is twice the one before,
// and no more sealings are taken than were reserved, with any number of goroutines.
func TestBudgetDoubles(t *testing.T) {
	const most = 3 * firstStep
	b := newBudget(new(atomic.Int64))
	var reserved, taken atomic.Int64
	reserve := func(n int64) error {
		if reserved.Load()+n > most {
			return fault("Seal", driver.Invalid, errSealings)
		}
		reserved.Add(n)
		return nil
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				if b.take() {
					taken.Add(1)
				} else if err := b.refill(t.Context(), reserve); err != nil {
					if !errors.Is(err, errSealings) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	wg.Wait()
	if reserved.Load() != most || taken.Load() != most {
		t.Errorf("%d reserved and %d taken, want %d of both", reserved.Load(), taken.Load(), int64(most))
	}
	if b.step != 4*firstStep {
		t.Errorf("the third step is %d, want 4 times firstStep", b.step)
	}
}

// TestBudgetUnrecorded: a token that refuses to store the count is asked once, and the
// unrecorded sealings are given out once for all drivers. A token that is temporarily
// unavailable is asked again.
func TestBudgetUnrecorded(t *testing.T) {
	book, asked := unrecordedBook{}, 0
	b := newBudget(book.of(driver.MaterialID{}))
	answer := fault("C_GenerateKey", driver.Unavailable, errDown)
	reserve := func(int64) error { asked++; return answer }
	for range 2 {
		if err := b.refill(t.Context(), reserve); !errors.Is(err, driver.Unavailable) || b.take() {
			t.Errorf("refill with the token away: %v, want Unavailable", err)
		}
	}
	answer = fault("C_GenerateKey", driver.Denied, errDown)
	other := newBudget(book.of(driver.MaterialID{})) // of another driver in the process
	given := int64(0)
	for err := error(nil); err == nil && given <= unrecorded; given += b.left.Swap(0) + other.left.Swap(0) {
		err = cmp.Or(b.refill(t.Context(), reserve), other.refill(t.Context(), reserve))
	}
	if given != unrecorded {
		t.Errorf("%d sealings given without a record, want unrecorded", given)
	}
	if err := b.refill(t.Context(), reserve); !errors.Is(err, errSealings) || b.take() {
		t.Errorf("refill after the last unrecorded sealing: %v, want errSealings", err)
	}
	if asked != 4 {
		t.Errorf("the token was asked to reserve %d times, want 4", asked)
	}
}

// TestBudgetWaits: a caller that waits for another's reservation can give up.
func TestBudgetWaits(t *testing.T) {
	b := newBudget(new(atomic.Int64))
	b.lock <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.refill(ctx, func(int64) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
