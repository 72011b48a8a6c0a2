// Package epochbatch batches concurrent destructions of material into one change of epoch.
// A change of epoch re-seals every remaining record, however many records it deletes.
package epochbatch

import (
	"context"
	"sync"

	"strongroom.example/keystore"
)

// batchSize is how many material records one change of epoch deletes, so that they fit in
// one batch of the store.
const batchSize = 1024

// A Batcher deletes material records in changes of epoch.
type Batcher struct {
	store *keystore.Store
	turn  chan struct{} // full while a goroutine runs a change

	mu   sync.Mutex
	next *batch // the batch that new paths join
}

// batch is a change of epoch and the records that it deletes.
type batch struct {
	paths []string
	done  chan struct{} // closed at the end
	err   error
}

// New returns a Batcher for the records of s.
func New(s *keystore.Store) *Batcher {
	return &Batcher{store: s, turn: make(chan struct{}, 1)}
}

// Delete deletes a material record in a change of epoch, which this or another goroutine
// runs. If ctx ends first the record may still be deleted.
func (b *Batcher) Delete(ctx context.Context, path string) error {
	mine := b.join(path)
	select {
	case b.turn <- struct{}{}:
		b.run(ctx, mine)
		<-b.turn
	case <-mine.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return mine.err
}

// join adds a path to the next batch and returns the batch.
func (b *Batcher) join(path string) *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil || len(b.next.paths) == batchSize {
		b.next = &batch{done: make(chan struct{})}
	}
	b.next.paths = append(b.next.paths, path)
	return b.next
}

// run runs a batch, unless another goroutine has run it. It ignores the end of ctx, because
// other callers wait for the batch.
func (b *Batcher) run(ctx context.Context, one *batch) {
	select {
	case <-one.done:
		return
	default:
	}
	one.err = b.store.ChangeEpoch(context.WithoutCancel(ctx), func(tx *keystore.Tx) error {
		for _, path := range b.sealOff(one) {
			tx.Delete(path)
		}
		return nil
	})
	b.sealOff(one)
	close(one.done)
}

// sealOff closes a batch to further paths and returns its paths.
func (b *Batcher) sealOff(one *batch) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == one {
		b.next = nil
	}
	return one.paths
}
