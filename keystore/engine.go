package keystore

import "context"

// Engine keeps sealed records on disk. It sees no path and no plaintext: keys
// are opaque, values are sealed. An Engine is safe for concurrent use.
// storetest.Run is its contract in the form of tests.
type Engine interface {
	// Get answers a copy of the value under key, or ErrNotFound.
	Get(ctx context.Context, key []byte) ([]byte, error)
	// Scan answers up to limit pairs whose key starts with prefix and is
	// greater than after (nil: from the start), in byte order of their keys.
	// The pairs are copies.
	Scan(ctx context.Context, prefix, after []byte, limit int) ([]Pair, error)
	// Commit applies the batch whole or not at all, and returns once it is
	// durable. ErrConflict if an expectation fails, ErrTooLarge if the batch
	// is larger than MaxBatch; both change nothing. The engine keeps no slice
	// of the batch after it returns.
	Commit(ctx context.Context, b Batch) error
	// MaxBatch is how many bytes of keys and values one batch may hold.
	MaxBatch() int
	// Close releases the store. Every later call answers ErrClosed. Close itself may
	// answer ErrFull if it has no room for what it must write: then all that was
	// committed is safe, the store is not released, and Close may be called again.
	Close() error
}

// EngineConfig is what an engine is opened with that authenticates what it writes beside
// the sealed records.
type EngineConfig struct {
	Dir string
	// MAC is a MAC of 32 bytes over its parts, keyed by the store. The engine may call it
	// until its Close has returned.
	MAC func(parts ...[]byte) [32]byte
}

// RekeyEngine is the ability of an engine that authenticates its files to do so with
// another MAC from now on. A crash meanwhile may leave a store that neither opens.
type RekeyEngine interface {
	Rekey(mac func(parts ...[]byte) [32]byte) error
}

// Pair is one key and its value. A value is never empty.
type Pair struct{ Key, Value []byte }

// Expectation is what a batch relies on: key holds exactly value, or is
// absent if value is nil.
type Expectation struct{ Key, Value []byte }

// Batch is one atomic change. No key appears in it twice.
type Batch struct {
	Expect []Expectation
	Put    []Pair
	Delete [][]byte
}

// Size is the number of bytes that count against Engine.MaxBatch: the keys and
// values put and the keys deleted.
func (b Batch) Size() int {
	n := 0
	for _, p := range b.Put {
		n += len(p.Key) + len(p.Value)
	}
	for _, k := range b.Delete {
		n += len(k)
	}
	return n
}
