package vault

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"strongroom.example/driver"
)

// The delay between attempts of a driver call is random (full jitter), below min(retryCap,
// retryBase × 2^n).
const (
	retryBase  = 100 * time.Millisecond
	retryCap   = 10 * time.Second
	retryTries = 6
	// retryAway is how long an operation retries a device that is away. A driver itself
	// searches for about as long, and a caller should get the error within about a second.
	retryAway = 500 * time.Millisecond
)

// Retry calls f again while f fails with an error that may be temporary: one with a
// retryable driver.Class, or ErrThrottled. It returns other errors at once, among them
// ErrUnavailable without such a class. It makes at most six attempts, waits between them
// with full jitter, never beyond the end of ctx, and returns the last error of f. The
// operations of Client already retry in this way; those that use a key retry for half a
// second only if the device is away.
func Retry(ctx context.Context, f func(context.Context) error) error {
	return retry(ctx, math.MaxInt64, f)
}

// retryUse is Retry for the use of a key. It gives up earlier if the device is away,
// because a caller is waiting.
func retryUse(ctx context.Context, f func(context.Context) error) error {
	return retry(ctx, retryAway, f)
}

// retry is Retry with a limit on how long it retries a device that is away.
func retry(ctx context.Context, away time.Duration, f func(context.Context) error) error {
	begin := time.Now()
	for n := 0; ; n++ {
		err := f(ctx)
		if err == nil || n == retryTries-1 || !retryable(err) {
			return err
		}
		wait := rand.N(min(retryCap, retryBase<<n))
		if errors.Is(err, driver.Unavailable) {
			left := away - time.Since(begin)
			if left <= 0 {
				return err
			}
			wait = min(wait, left)
		}
		if !sleep(ctx, wait) {
			return err
		}
	}
}

// retryable reports whether another attempt may succeed after err. The class of a driver's
// error takes precedence over the vault's sentinel.
func retryable(err error) bool {
	var d *driver.Error
	if errors.As(err, &d) {
		return d.Class.Retryable()
	}
	return errors.Is(err, ErrThrottled)
}

// grace is how long the vault continues, after the caller's context has ended, to roll back
// what the operation made in a device. After that the rollback is postponed.
const grace = 2 * time.Second

// outlive returns a context that ends a grace period after ctx ends.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return longer, func() { stop(); cancel() }
}

// sleep waits for d. It returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
