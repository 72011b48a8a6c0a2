//go:build cgo && unix

package pkcs11

import "context"

// A lock is a mutex whose waiters can give up when their context is done.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

// take takes the lock, or returns the context's error if the context is done first.
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
