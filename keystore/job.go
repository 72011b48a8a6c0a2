package keystore

import (
	"context"
	"sync/atomic"
)

// job is one operation for the committer. If alone is set, the committer runs it in place
// of op, outside a group.
type job struct {
	op      func(*Tx) error
	alone   func() error
	reserve bool // see CommitInReserve
	taken   atomic.Bool
	done    chan error
}

// Commit runs op in the committer and returns nil once its batch is durable and the tip
// is written. If Commit returns op's error, none of op's changes are applied. ctx bounds
// the wait until op starts; after that Commit waits for the batch. op may run more than
// once and must not call Commit. A panic in op becomes an error with only the type of the
// panic's value. Other errors:
//   - ErrFull, ErrTooLarge: nothing was changed.
//   - ErrClosed: the store is closed.
//   - ErrUnavailable: the store failed closed; the batch may be there after the next
//     Open.
func (s *Store) Commit(ctx context.Context, op func(*Tx) error) error {
	return s.enqueue(ctx, &job{op: op, done: make(chan error, 1)})
}

// CommitInReserve is Commit for an operation that has to work when the disk is nearly
// full. It returns ErrFull only below a quarter of Config.MinFree or 4 MiB, whichever is
// larger, while Commit returns it below Config.MinFree.
func (s *Store) CommitInReserve(ctx context.Context, op func(*Tx) error) error {
	return s.enqueue(ctx, &job{op: op, reserve: true, done: make(chan error, 1)})
}

// alone runs f in the committer while no other job runs. f must check for disk space (see
// withRoom) if it writes.
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

// take claims the job: it reports true to the first caller only, either the committer,
// which then runs the job, or the queued caller, which gives up.
func (j *job) take() bool { return j.taken.CompareAndSwap(false, true) }
