package vault

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"strongroom.example/driver"
)

// attempts runs Do on a call that always fails with err, and returns the delays between its
// attempts. It is for use in a synctest bubble.
func attempts(t *testing.T, p RetryPolicy, err error) (delays []time.Duration) {
	t.Helper()
	var last time.Time
	got := p.Do(t.Context(), func(context.Context) error {
		if !last.IsZero() {
			delays = append(delays, time.Since(last))
		}
		last = time.Now()
		return err
	})
	if !errors.Is(got, err) {
		t.Errorf("Do returns %v, want the last error %v", got, err)
	}
	return delays
}

// TestRetryFullJitter: each delay is spread evenly between 0 and a bound that doubles.
func TestRetryFullJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const runs = 2000
		var quarters [5][4]int
		for range runs {
			delays := attempts(t, RetryPolicy{}, ErrThrottled)
			if len(delays) != 5 {
				t.Fatalf("%d attempts, want 6", len(delays)+1)
			}
			for n, d := range delays {
				bound := 100 * time.Millisecond << n
				if d >= bound {
					t.Fatalf("delay %d is %v, want less than %v", n, d, bound)
				}
				quarters[n][4*d/bound]++
			}
		}
		for n, counts := range quarters {
			for _, c := range counts {
				if c < runs/4-120 || c > runs/4+120 { // six standard deviations
					t.Errorf("delay %d is in the quarters of its range %v times, want about %d each", n, counts, runs/4)
					break
				}
			}
		}
	})
}

// TestRetryClasses: the class of an error decides whether and when a call is made again.
func TestRetryClasses(t *testing.T) {
	limited := &Error{Op: OpSign, RetryAfter: 3 * time.Second, Err: errLimit}
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name     string
			err      error
			class    RetryClass
			attempts int
			first    func(time.Duration) bool
		}{
			{"denied", ErrDenied, RetryNever, 1, nil},
			{"denied, because the authorizer is busy", fmt.Errorf("%w: %w", errAuthorizer, &driver.Error{Class: driver.Throttled}), RetryNever, 1, nil},
			{"denied, because the authorizer is throttled", fmt.Errorf("%w: %w", errAuthorizer, ErrThrottled), RetryNever, 1, nil},
			{"wrong PIN", &driver.Error{Class: driver.Denied}, RetryNever, 1, nil},
			{"perhaps done", &driver.Error{Class: driver.Unknown}, RetryNever, 1, nil},
			{"a full disk", ErrStorageFull, RetryNever, 1, nil},
			{"connection lost", &driver.Error{Class: driver.Unavailable}, RetryAtOnce, 3, func(d time.Duration) bool { return d == 0 }},
			{"busy", &driver.Error{Class: driver.Throttled}, RetryDelayed, 3, func(d time.Duration) bool { return d < 50*time.Millisecond }},
			{"limited", limited, RetryDelayed, 3, func(d time.Duration) bool { return d >= 3*time.Second && d < 3050*time.Millisecond }},
		} {
			if got := RetryClassOf(c.err); got != c.class {
				t.Errorf("%s: class %v, want %v", c.name, got, c.class)
			}
			delays := attempts(t, RetryPolicy{InitialDelay: 50 * time.Millisecond, Attempts: 3}, c.err)
			if len(delays)+1 != c.attempts {
				t.Errorf("%s: %d attempts, want %d", c.name, len(delays)+1, c.attempts)
			} else if c.first != nil && !c.first(delays[0]) {
				t.Errorf("%s: the first delay is %v", c.name, delays[0])
			}
		}
	})
}

// TestRetryEnds: Do makes no further attempt after a success, beyond the end of the context,
// and beyond the budget.
func TestRetryEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		succeedAt3 := func(context.Context) error {
			if n++; n < 3 {
				return ErrThrottled
			}
			return nil
		}
		if err := Retry(t.Context(), succeedAt3); err != nil || n != 3 {
			t.Errorf("a call that succeeds at the third attempt: %v after %d", err, n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if err := (RetryPolicy{Attempts: 1000}).Do(ctx, func(context.Context) error { return ErrThrottled }); !errors.Is(err, ErrThrottled) || time.Since(begin) > 150*time.Millisecond {
			t.Errorf("with a deadline after 150 ms: %v after %v", err, time.Since(begin))
		}
		const calls = 1000
		n, p := 0, RetryPolicy{Budget: NewRetryBudget(0.1, 10)}
		for range calls {
			_ = p.Do(t.Context(), func(context.Context) error { n++; return ErrThrottled })
		}
		if n > calls+calls/10+10 || n < calls+calls/10-1 {
			t.Errorf("%d calls made %d attempts with a budget of a tenth", calls, n)
		}
		if delays := attempts(t, RetryPolicy{MaxDelay: 120 * time.Millisecond, Attempts: 70}, ErrThrottled); len(delays) != 69 {
			t.Errorf("%d attempts, want 70", len(delays)+1)
		} else {
			for _, d := range delays {
				if d >= 120*time.Millisecond {
					t.Errorf("a delay of %v, want less than 120 ms", d)
				}
			}
		}
	})
}
