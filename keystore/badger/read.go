package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"strongroom.example/keystore"
)

// Get answers a copy of the value under key. An empty value is ErrCorrupt: none
// is ever stored, and Badger answers one for some damage.
func (e *engine) Get(ctx context.Context, key []byte) ([]byte, error) {
	e.open.RLock()
	defer e.open.RUnlock()
	if err := e.usable(ctx); err != nil {
		return nil, err
	}
	return e.get(ctx, key)
}

// get asks the overlay first: what is not in it is in Badger, then and later.
func (e *engine) get(ctx context.Context, key []byte) ([]byte, error) {
	value, known := e.over.find(string(key))
	switch {
	case known && value != nil:
		return bytes.Clone(value), nil
	case known || string(key) == positionKey:
		return nil, keystore.ErrNotFound
	}
	below, err := e.view(ctx)
	if err != nil {
		return nil, err
	}
	defer below.Discard()
	return get(below, key)
}

// Scan answers up to limit pairs with prefix, after the key after.
func (e *engine) Scan(ctx context.Context, prefix, after []byte, limit int) ([]keystore.Pair, error) {
	e.open.RLock()
	defer e.open.RUnlock()
	if err := e.usable(ctx); err != nil {
		return nil, err
	}
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false
	opts.Prefix = prefix

	below, over, err := e.viewUnder(ctx, prefix)
	if err != nil {
		return nil, err
	}
	defer below.Discard()
	it := below.NewIterator(opts)
	defer it.Close()

	var pairs []keystore.Pair
	for it.Seek(start(prefix, after)); it.Valid() && len(pairs) < limit; it.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		key := it.Item().Key()
		if after != nil && bytes.Compare(key, after) <= 0 || string(key) == positionKey {
			continue
		}
		if _, covered := over[string(key)]; covered {
			continue
		}
		value, err := valueOf(it.Item())
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, keystore.Pair{Key: it.Item().KeyCopy(nil), Value: value})
	}
	return merge(pairs, over, after, limit), nil
}

// start is the first key that a scan may answer.
func start(prefix, after []byte) []byte {
	if bytes.Compare(after, prefix) > 0 {
		return after
	}
	return prefix
}

// get reads one key in a transaction.
func get(txn *badger.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	switch {
	case errors.Is(err, badger.ErrKeyNotFound), errors.Is(err, badger.ErrEmptyKey):
		return nil, keystore.ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("%w: the engine could not read a key", keystore.ErrCorrupt)
	}
	return valueOf(item)
}

func valueOf(item *badger.Item) ([]byte, error) {
	value, err := item.ValueCopy(nil)
	if err != nil || len(value) == 0 {
		return nil, fmt.Errorf("%w: the engine has a key without its value", keystore.ErrCorrupt)
	}
	return value, nil
}
