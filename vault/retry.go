package vault

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"strongroom.example/driver"
)

// The back-off between tries of a driver call: full jitter below
// min(retryCap, retryBase × 2^n).
const (
	retryBase  = 100 * time.Millisecond
	retryCap   = 10 * time.Second
	retryTries = 6
	// retryAway is how long an operation tries a device that is away. A driver looks
	// about as long itself, and nobody should wait for more than a second to be told.
	retryAway = 500 * time.Millisecond
)

// Retry calls f again while it fails with something that another try can mend: a
// driver.Class that is retryable, or ErrThrottled. Other errors, ErrUnavailable without
// such a class among them, are returned at once. It waits between tries with full
// jitter, six tries at most, never past ctx, and returns f's last error. Operations of
// Client already retry what their device can mend, one that is away for half a second.
func Retry(ctx context.Context, f func(context.Context) error) error {
	return retry(ctx, math.MaxInt64, f)
}

// retryUse is Retry for the use of a key: a device that is away is given up sooner, as
// most callers have somebody waiting.
func retryUse(ctx context.Context, f func(context.Context) error) error {
	return retry(ctx, retryAway, f)
}

// retry tries so long a device that is away.
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

// retryable reports whether another try can mend err. A driver's own class goes
// before what the vault made of it.
func retryable(err error) bool {
	var d *driver.Error
	if errors.As(err, &d) {
		return d.Class.Retryable()
	}
	return errors.Is(err, ErrThrottled)
}

// grace is how much longer than a caller the vault waits to take back what he leaves in
// a device. What is not taken back by then is put off.
const grace = 2 * time.Second

// outlive returns a context that ends a grace after ctx does.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return longer, func() { stop(); cancel() }
}

// sleep waits; false if ctx ends first.
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
