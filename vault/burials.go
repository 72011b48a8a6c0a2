package vault

import (
	"context"
	"sync"

	"strongroom.example/keystore"
)

// burialSize is how many material records one change of epoch deletes, so that they fit in
// one batch.
const burialSize = 1024

// burials batches concurrent destructions of material into one change of epoch, because a
// change of epoch re-seals every remaining record, however many are deleted.
type burials struct {
	store *keystore.Store
	turn  chan struct{} // full while a goroutine runs a change

	mu   sync.Mutex
	next *burial // the batch that new destructions join
}

// burial is one batch: a change of epoch and the records that it deletes.
type burial struct {
	paths []string
	done  chan struct{} // closed at the end
	err   error
}

func newBurials(s *keystore.Store) *burials {
	return &burials{store: s, turn: make(chan struct{}, 1)}
}

// bury deletes a material record in a change of epoch, which this or another goroutine
// runs. If ctx ends first the record may still be deleted.
func (b *burials) bury(ctx context.Context, path string) error {
	mine := b.join(path)
	select {
	case b.turn <- struct{}{}:
		b.lead(ctx, mine)
		<-b.turn
	case <-mine.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return mine.err
}

// join adds a path to the next batch and returns the batch.
func (b *burials) join(path string) *burial {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil || len(b.next.paths) == burialSize {
		b.next = &burial{done: make(chan struct{})}
	}
	b.next.paths = append(b.next.paths, path)
	return b.next
}

// lead runs a batch, unless another goroutine has run it. It ignores the end of ctx,
// because other callers wait for the batch.
func (b *burials) lead(ctx context.Context, one *burial) {
	select {
	case <-one.done:
		return
	default:
	}
	one.err = b.store.ChangeEpoch(context.WithoutCancel(ctx), func(tx *keystore.Tx) error {
		for _, path := range b.shut(one) {
			tx.Delete(path)
		}
		return nil
	})
	b.shut(one)
	close(one.done)
}

// shut closes a batch to further paths and returns its paths.
func (b *burials) shut(one *burial) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == one {
		b.next = nil
	}
	return one.paths
}
