// Package ordered computes the elements of a sequence concurrently, and keeps their order.
package ordered

import (
	"context"
	"iter"
	"sync"
)

// ahead is how many elements are taken from the source for each concurrent call, so that a
// slow element does not leave the others idle.
const ahead = 4

// Map passes work(element) to sink for each element of source, in the order of source, with
// at most callers calls of work at a time. source and sink run in the goroutine of the
// caller, never at the same time. Map ends with the first error of source, work or sink, or
// with that of ctx; it has then passed to sink every element before the one that failed, and
// none behind it. It returns when no call of work is running.
func Map[In, Out any](ctx context.Context, callers int, source iter.Seq2[In, error], work func(context.Context, In) (Out, error), sink func(Out) error) error {
	ctx, cancel := context.WithCancel(ctx)
	next, stop := iter.Pull2(source)
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	slots := make(chan struct{}, callers)
	var waiting []chan outcome[Out]
	for more := true; more || len(waiting) > 0; {
		if more && len(waiting) < ahead*callers {
			done := make(chan outcome[Out], 1)
			in, err, ok := next()
			switch {
			case !ok:
				more = false
				continue
			case err != nil:
				more = false
				done <- outcome[Out]{err: err}
			default:
				running.Go(func() { done <- run(ctx, slots, in, work) })
			}
			waiting = append(waiting, done)
			continue
		}
		first := <-waiting[0]
		waiting = waiting[1:]
		if first.err != nil {
			return first.err
		}
		if err := sink(first.out); err != nil {
			return err
		}
	}
	return nil
}

// outcome is the result of one call of work.
type outcome[Out any] struct {
	out Out
	err error
}

// run calls work when a slot is free, unless ctx ends before.
func run[In, Out any](ctx context.Context, slots chan struct{}, in In, work func(context.Context, In) (Out, error)) (o outcome[Out]) {
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return outcome[Out]{err: ctx.Err()}
	}
	defer func() { <-slots }()
	o.out, o.err = work(ctx, in)
	return o
}
