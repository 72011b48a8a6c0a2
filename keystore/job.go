package keystore

import (
	"context"
	"sync/atomic"
)

// job is one operation on its way through the committer. alone, if set, runs
// in place of op with the committer to itself.
type job struct {
	op    func(*Tx) error
	alone func() error
	taken atomic.Bool
	done  chan error
}

// Commit runs op in the committer and returns once its batch is durable and the
// tip written, or with op's own error; then nothing of op is applied. ctx bounds
// the waiting until op is taken, which is at once if nobody else is there; then its
// batch is waited for. op may run more than once and must not call Commit. Its panic is an error that names
// the type of the panic's value only.
func (s *Store) Commit(ctx context.Context, op func(*Tx) error) error {
	return s.enqueue(ctx, &job{op: op, done: make(chan error, 1)})
}

// alone runs f in the committer while nothing else does. f asks for room if it writes.
func (s *Store) alone(ctx context.Context, f func() error) error {
	return s.enqueue(ctx, &job{alone: f, done: make(chan error, 1)})
}

func (s *Store) enqueue(ctx context.Context, j *job) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if j.alone == nil && s.direct(j) {
		return <-j.done
	}
	select {
	case s.queue <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
		return ErrClosed
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		if j.take() {
			return ctx.Err()
		}
	case <-s.stopped:
		if j.take() {
			return ErrClosed
		}
	}
	return <-j.done
}

// take tells whether the job is still the caller's who asks.
func (j *job) take() bool { return j.taken.CompareAndSwap(false, true) }
