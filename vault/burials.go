package vault

import (
	"context"
	"sync"

	"strongroom.example/keystore"
)

// burialSize is how many records of material one change of epoch takes along, so that
// they fit a batch.
const burialSize = 1024

// burials lets all who destroy material at the same time share one change of epoch:
// it seals every survivor anew, whether one record is left out or a thousand.
type burials struct {
	store *keystore.Store
	turn  chan struct{} // full while somebody leads a change

	mu   sync.Mutex
	next *burial // whoever comes joins it
}

// burial is a change of epoch and the records that go by it.
type burial struct {
	paths []string
	done  chan struct{} // closed when it has ended
	err   error
}

func newBurials(s *keystore.Store) *burials {
	return &burials{store: s, turn: make(chan struct{}, 1)}
}

// bury removes a record of material by a change of epoch, its own or one that others
// lead. If ctx ends first the record may go all the same.
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

// join adds a path to the burial that comes next.
func (b *burials) join(path string) *burial {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil || len(b.next.paths) == burialSize {
		b.next = &burial{done: make(chan struct{})}
	}
	b.next.paths = append(b.next.paths, path)
	return b.next
}

// lead runs a burial, unless somebody else has led it meanwhile. Others rely on it, so
// that it does not end with ctx.
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

// shut lets nobody join a burial any more, and returns what goes by it.
func (b *burials) shut(one *burial) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == one {
		b.next = nil
	}
	return one.paths
}
