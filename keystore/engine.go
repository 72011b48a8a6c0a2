package keystore

import "context"

// Engine keeps sealed records on disk. It sees neither paths nor plaintext: keys are
// opaque, and values are sealed. An Engine is safe for concurrent use. storetest.Run
// tests an engine against this contract.
type Engine interface {
	// Get returns a copy of the value under key, or ErrNotFound.
	Get(ctx context.Context, key []byte) ([]byte, error)
	// Scan returns at most limit pairs whose keys start with prefix and are greater than
	// after (nil: from the start), in byte order of their keys. The pairs are copies.
	Scan(ctx context.Context, prefix, after []byte, limit int) ([]Pair, error)
	// Commit applies the batch as a whole or not at all, and returns once it is durable.
	// It keeps no slice of the batch after it returns. Errors, both of which change
	// nothing:
	//   - ErrConflict: an expectation does not hold.
	//   - ErrTooLarge: the batch is larger than MaxBatch.
	Commit(ctx context.Context, b Batch) error
	// MaxBatch returns the largest size of a batch, in bytes as Batch.Size counts them.
	MaxBatch() int
	// Close releases the store. Every later call returns ErrClosed. Close returns ErrFull
	// if it has no disk space for what it must write: all committed data is then safe,
	// the store is not released, and Close may be called again.
	Close() error
}

// EngineConfig is the argument for opening an engine that authenticates the files in
// which it keeps the sealed records.
type EngineConfig struct {
	Dir string
	// MAC is a MAC of 32 bytes over its parts, with a key of the store. The engine must
	// not call it after its first Close has returned, even if that returned ErrFull,
	// because the store then wipes the key.
	MAC func(parts ...[]byte) [32]byte
}

// RekeyEngine is implemented by an engine that authenticates its files. Rekey replaces
// the MAC with which it does so. A crash during Rekey may leave files that neither MAC
// opens.
type RekeyEngine interface {
	Rekey(mac func(parts ...[]byte) [32]byte) error
}

// Pair is one key and its value. A value is never empty.
type Pair struct{ Key, Value []byte }

// Expectation is a condition of a batch: key holds exactly value, or is absent if value
// is nil.
type Expectation struct{ Key, Value []byte }

// Batch is one atomic change. No key appears in it twice.
type Batch struct {
	Expect []Expectation
	Put    []Pair
	Delete [][]byte
}

// Size returns the number of bytes that count towards Engine.MaxBatch: the keys and
// values put, and the keys deleted.
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
