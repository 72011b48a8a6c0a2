// Package retry repeats calls that may fail temporarily, and waits.
package retry

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// The delay between attempts is random (full jitter), below min(MaxDelay, Base × 2^n).
const (
	// Base is the upper bound of the first delay.
	Base = 100 * time.Millisecond
	// MaxDelay is the upper bound of every delay.
	MaxDelay = 10 * time.Second
	// Attempts is the maximum number of attempts.
	Attempts = 6
)

// A Verdict says how an error affects further attempts.
type Verdict int

// The verdicts.
const (
	// Final: another attempt would fail too.
	Final Verdict = iota
	// Temporary: another attempt may succeed.
	Temporary
	// Away: another attempt may succeed, but only within the time that the caller waits for
	// a device that is away.
	Away
)

// A Policy says how a call is repeated. Zero fields mean the constants above, and no limit.
type Policy struct {
	Base, MaxDelay time.Duration
	Attempts       int
	// Judge judges the error of an attempt.
	Judge func(error) Verdict
	// Away limits how long Do retries after errors that Judge calls Away.
	Away time.Duration
	// AtOnce: the first retry after an error that Judge calls Away has no delay.
	AtOnce bool
	// After, if it is set, returns a time to wait in addition to the random one.
	After  func(error) time.Duration
	Budget *Budget
}

// Do calls f until it succeeds, or the policy permits no other attempt after its error. It
// does not wait beyond the end of ctx, and returns the last error of f.
func (p Policy) Do(ctx context.Context, f func(context.Context) error) error {
	begin := time.Now()
	p.Budget.call()
	for n := 0; ; n++ {
		err := f(ctx)
		if err == nil || n >= cmp.Or(p.Attempts, Attempts)-1 {
			return err
		}
		verdict := p.Judge(err)
		wait := rand.N(p.bound(n))
		if verdict == Away && n == 0 && p.AtOnce {
			wait = 0
		}
		if verdict == Away && p.Away > 0 {
			left := p.Away - time.Since(begin)
			if left <= 0 {
				return err
			}
			wait = min(wait, left)
		}
		if p.After != nil {
			wait += p.After(err)
		}
		if verdict == Final || !p.Budget.retry() || !Sleep(ctx, wait) {
			return err
		}
	}
}

// bound returns the upper bound of the delay behind attempt n, counted from 0.
func (p Policy) bound(n int) time.Duration {
	base, most := cmp.Or(p.Base, Base), cmp.Or(p.MaxDelay, MaxDelay)
	if n > 62 || base > most>>n {
		return most
	}
	return base << n
}

// Do is Policy.Do with a limit for devices that are away.
func Do(ctx context.Context, away time.Duration, judge func(error) Verdict, f func(context.Context) error) error {
	return Policy{Judge: judge, Away: away}.Do(ctx, f)
}

// A Budget limits the further attempts of many calls. A nil Budget limits nothing.
type Budget struct {
	ratio, burst float64
	mu           sync.Mutex
	left         float64
}

// NewBudget returns a budget of burst attempts, and of ratio more for each call.
func NewBudget(ratio float64, burst int) *Budget {
	return &Budget{ratio: ratio, burst: float64(burst), left: float64(burst)}
}

// call adds what a call contributes.
func (b *Budget) call() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = math.Min(b.burst, b.left+b.ratio)
}

// retry takes one attempt, and reports whether there was one.
func (b *Budget) retry() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// Sleep waits for d. It returns false if ctx ends first.
func Sleep(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// GracePeriod is how long the vault continues, after the caller's context has ended, to take
// back what an operation made in a device. The rest is done later.
const GracePeriod = 2 * time.Second

// Grace returns a context that ends GracePeriod after ctx ends.
func Grace(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(GracePeriod, cancel) })
	return longer, func() { stop(); cancel() }
}
