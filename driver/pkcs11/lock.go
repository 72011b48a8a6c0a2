//go:build cgo && unix

package pkcs11

import "context"

// A lock is a mutex that a context can be waited for with.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

// take returns the context's error if it is done first, or already.
func (l lock) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l lock) give() { <-l }
