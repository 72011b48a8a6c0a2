package badger

import (
	"bytes"
	"context"
	"slices"

	"github.com/dgraph-io/badger/v4/y"
)

// Trim removes every key below the given one, and the files that hold no other. It makes
// a table of the memtable first, so that the redo log does not bring a key back. Commits
// go on meanwhile. If ctx ends, Trim returns and the work goes on in the background.
func (e *engine) Trim(ctx context.Context, below []byte) error {
	e.open.RLock()
	defer e.open.RUnlock()
	ended, err := e.startTrim(ctx, slices.Clone(below))
	if err != nil || ended == nil {
		return err
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// startTrim starts the work behind a flush, as no other flush or merge may run beside it.
// It returns nil if there is nothing to remove.
func (e *engine) startTrim(ctx context.Context, below []byte) (<-chan error, error) {
	e.commit.Lock()
	defer e.commit.Unlock()
	if err := e.usable(ctx); err != nil {
		return nil, err
	}
	if e.failed != nil {
		return nil, e.failed
	}
	if has, err := e.hasBelow(below); err != nil || !has {
		return nil, err
	}
	if err := e.turn(); err != nil {
		return nil, err
	}
	flush, next, ended := e.flushing, make(chan error, 1), make(chan error, 1)
	e.flushing = next
	go func() {
		err := <-flush
		if err == nil {
			ended <- guarded(func() error { return e.trim(below) })
		} else {
			ended <- err
		}
		next <- err
	}()
	return ended, nil
}

// hasBelow reports whether readers see a key below the given one.
func (e *engine) hasBelow(below []byte) (has bool, err error) {
	err = guarded(func() error {
		e.mu.RLock()
		defer e.mu.RUnlock()
		l := newLive(e.view.iterators(), e.ts.Load())
		defer l.close()
		l.seek(nil)
		has = l.valid() && bytes.Compare(l.key(), below) < 0
		return nil
	})
	return has, err
}

// trim removes keys from the tables, first from the run and then, by a merge, from the
// loose ones.
func (e *engine) trim(below []byte) error {
	now := e.tables()
	dropped := 0
	for dropped < len(now.run) && compareUser(now.run[dropped].Biggest(), below) < 0 {
		dropped++
	}
	rest, kept := now.run[dropped:], now.run[dropped:]
	if len(rest) > 0 && compareUser(rest[0].Smallest(), below) < 0 {
		kept = rest[1:]
	}
	if written := rest[:len(rest)-len(kept)]; dropped+len(written) > 0 {
		err := e.replace(replacement{inputs: tableSet{run: written}, dropped: now.run[:dropped], from: below,
			next: func(made []*sorted) tableSet { return newTableSet(now.loose, slices.Concat(made, kept)) }})
		if err != nil {
			return err
		}
	}
	for _, t := range now.loose {
		if compareUser(t.Smallest(), below) < 0 {
			return e.merge(below)
		}
	}
	return nil
}

// fromKey is an iterator that begins at a key.
type fromKey struct {
	y.Iterator
	key []byte
}

// Rewind goes to the first entry whose key is not before the iterator's key.
func (i fromKey) Rewind() { i.Seek(newestOf(i.key)) }
