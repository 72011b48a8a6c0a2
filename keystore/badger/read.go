package badger

import (
	"bytes"
	"context"
	"fmt"

	"github.com/dgraph-io/badger/v4/y"

	"strongroom.example/keystore"
)

// Get returns a copy of the value under key.
func (e *engine) Get(ctx context.Context, key []byte) ([]byte, error) {
	e.open.RLock()
	defer e.open.RUnlock()
	if err := e.usable(ctx); err != nil {
		return nil, err
	}
	if string(key) == positionKey {
		return nil, keystore.ErrNotFound
	}
	return e.get(key)
}

func (e *engine) get(key []byte) (value []byte, err error) {
	if len(key) == 0 {
		return nil, keystore.ErrNotFound
	}
	err = guarded(func() error {
		e.mu.RLock()
		defer e.mu.RUnlock()
		v := e.view.get(y.KeyWithTs(key, e.ts.Load()))
		switch {
		case v.Version == 0 || v.Meta&deleted != 0:
			return keystore.ErrNotFound
		case len(v.Value) == 0:
			return fmt.Errorf("%w: the engine has a key without its value", keystore.ErrCorrupt)
		}
		value = bytes.Clone(v.Value)
		return nil
	})
	return value, err
}

// get returns the newest entry under a key that is not newer than a time, which at has both.
func (v view) get(at []byte) y.ValueStruct {
	for _, m := range []*memtable{v.mem, v.full} {
		if found := m.get(at); found.Version > 0 {
			return found
		}
	}
	return v.tables.get(at)
}

// Scan returns up to limit pairs with prefix, after the key after.
func (e *engine) Scan(ctx context.Context, prefix, after []byte, limit int) (pairs []keystore.Pair, err error) {
	e.open.RLock()
	defer e.open.RUnlock()
	if err := e.usable(ctx); err != nil {
		return nil, err
	}
	err = guarded(func() error {
		e.mu.RLock()
		defer e.mu.RUnlock()
		l := newLive(e.view.iterators(), e.ts.Load())
		defer l.close()
		for l.seek(start(prefix, after)); l.valid() && len(pairs) < limit; l.next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			key := l.key()
			if !bytes.HasPrefix(key, prefix) {
				break
			}
			if after != nil && bytes.Compare(key, after) <= 0 || string(key) == positionKey {
				continue
			}
			value := bytes.Clone(l.value())
			if len(value) == 0 {
				return fmt.Errorf("%w: the engine has a key without its value", keystore.ErrCorrupt)
			}
			pairs = append(pairs, keystore.Pair{Key: bytes.Clone(key), Value: value})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return pairs, nil
}

// iterators are those of all parts.
func (v view) iterators() []y.Iterator {
	its := v.tables.iterators()
	for _, m := range []*memtable{v.full, v.mem} {
		if m != nil {
			its = append(its, m.list.NewUniIterator(false))
		}
	}
	return its
}

// start is the first key that a scan may return.
func start(prefix, after []byte) []byte {
	if bytes.Compare(after, prefix) > 0 {
		return after
	}
	return prefix
}
