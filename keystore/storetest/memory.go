// Package storetest tests a keystore.Engine against its contract. It also has an engine
// in memory whose contents a test may read, change and restore.
package storetest

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"strongroom.example/keystore"
)

// Memory is an engine in memory. Its contents outlive Close: Open opens it again.
type Memory struct {
	mu     sync.Mutex
	pairs  map[string][]byte
	keys   []string // of pairs, sorted; nil after a pair was added or removed
	closed bool
	fault  func(b keystore.Batch) error
}

const memoryBatch = 512 << 10

// NewMemory returns an empty, open engine.
func NewMemory() *Memory { return &Memory{pairs: map[string][]byte{}} }

// Open opens the engine again with its contents. It has the signature of
// Config.OpenEngine.
func (m *Memory) Open(string) (keystore.Engine, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = false
	return m, nil
}

// Fault sets a function that is called before each commit; the commit fails with its
// error. f may change the contents of the engine. nil removes the function.
func (m *Memory) Fault(f func(b keystore.Batch) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// Snapshot returns a copy of all pairs.
func (m *Memory) Snapshot() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.pairs) // values are never changed in place
}

// Restore replaces all pairs by those of a snapshot.
func (m *Memory) Restore(pairs map[string][]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pairs, m.keys = maps.Clone(pairs), nil
}

// Change sets one value without a commit, as a tampering program would; nil deletes it.
func (m *Memory) Change(key string, value []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if value == nil {
		m.delete(key)
		return
	}
	m.put(key, value)
}

func (m *Memory) put(key string, value []byte) {
	if _, there := m.pairs[key]; !there {
		m.keys = nil
	}
	m.pairs[key] = bytes.Clone(value)
}

func (m *Memory) delete(key string) {
	if _, there := m.pairs[key]; there {
		m.keys = nil
	}
	delete(m.pairs, key)
}

func (m *Memory) begin(ctx context.Context) error {
	if m.closed {
		return keystore.ErrClosed
	}
	return ctx.Err()
}

// Get implements keystore.Engine.
func (m *Memory) Get(ctx context.Context, key []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	v, ok := m.pairs[string(key)]
	if !ok {
		return nil, keystore.ErrNotFound
	}
	return bytes.Clone(v), nil
}

// Scan implements keystore.Engine.
func (m *Memory) Scan(ctx context.Context, prefix, after []byte, limit int) ([]keystore.Pair, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	if m.keys == nil {
		m.keys = slices.Sorted(maps.Keys(m.pairs))
	}
	first, found := slices.BinarySearch(m.keys, max(string(prefix), string(after)))
	if found && after != nil && m.keys[first] == string(after) {
		first++
	}
	var out []keystore.Pair
	for _, k := range m.keys[first:] {
		if len(out) == limit || !strings.HasPrefix(k, string(prefix)) {
			break
		}
		out = append(out, keystore.Pair{Key: []byte(k), Value: bytes.Clone(m.pairs[k])})
	}
	return out, nil
}

// Commit implements keystore.Engine.
func (m *Memory) Commit(ctx context.Context, b keystore.Batch) error {
	if b.Size() > memoryBatch {
		return keystore.ErrTooLarge
	}
	if err := m.ask(b); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx); err != nil {
		return err
	}
	for _, e := range b.Expect {
		if v, ok := m.pairs[string(e.Key)]; ok != (e.Value != nil) || !bytes.Equal(v, e.Value) {
			return keystore.ErrConflict
		}
	}
	m.apply(b)
	return nil
}

// Trim implements keystore.Engine.
func (m *Memory) Trim(ctx context.Context, below []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx); err != nil {
		return err
	}
	for k := range m.pairs {
		if k < string(below) {
			m.delete(k)
		}
	}
	return nil
}

// Apply applies the puts and deletes of b without checking its expectations. A Fault may
// call it and then return an error.
func (m *Memory) Apply(b keystore.Batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.apply(b)
}

func (m *Memory) apply(b keystore.Batch) {
	for _, k := range b.Delete {
		m.delete(string(k))
	}
	for _, p := range b.Put {
		m.put(string(p.Key), p.Value)
	}
}

// ask calls the fault function, if one is set.
func (m *Memory) ask(b keystore.Batch) error {
	m.mu.Lock()
	f := m.fault
	m.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(b)
}

// MaxBatch implements keystore.Engine.
func (m *Memory) MaxBatch() int { return memoryBatch }

// Close implements keystore.Engine.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
