package memorykey

import (
	"errors"
	"sync"
	"time"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// enclaveAfter is how long a data key stays in locked memory after its last use, before it is
// moved to an enclave. Opening an enclave takes 19 system calls, which is too much for each
// use.
const enclaveAfter = time.Second

// A Pool holds the live data keys of a vault and moves idle ones to enclaves.
type Pool struct {
	arena *lockedmem.Arena
	mu    sync.Mutex
	keys  map[*Key]struct{}
}

// NewPool returns a pool with an arena of its own, which leaves memory for other operations,
// because callers can make any number of data keys. It makes an enclave now, because memguard
// locks its own pages with the first one: later the arenas may have used up the memory that
// can be locked.
func NewPool() *Pool {
	toEnclave(make([]byte, 1))
	return &Pool{arena: lockedmem.NewRanked(0, lockedmem.Callers), keys: map[*Key]struct{}{}}
}

// NewKey makes a key of size zero bytes for the data ciphers of s. The caller sets them with
// Use.
func (p *Pool) NewKey(size int, s suite.ID) (*Key, error) {
	plain, err := p.alloc(size)
	if err != nil {
		return nil, err
	}
	k := &Key{size: size, pool: p, suite: s, open: plain, lastUse: time.Now()}
	k.idle.L = &k.mu
	p.mu.Lock()
	p.keys[k] = struct{}{}
	p.mu.Unlock()
	return k, nil
}

// alloc returns locked memory for a key. If there is none, it first moves all idle keys to
// enclaves.
func (p *Pool) alloc(size int) (*lockedmem.Buffer, error) {
	b, err := p.arena.Alloc(size)
	if !errors.Is(err, lockedmem.ErrExhausted) {
		return b, err
	}
	for _, k := range p.all() {
		if k.mu.TryLock() { // otherwise it is in use, perhaps by the caller
			k.moveToEnclaveLocked(time.Now())
			k.mu.Unlock()
		}
	}
	return p.arena.Alloc(size)
}

func (p *Pool) remove(k *Key) {
	p.mu.Lock()
	delete(p.keys, k)
	p.mu.Unlock()
}

// all returns the live keys.
func (p *Pool) all() []*Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*Key, 0, len(p.keys))
	for k := range p.keys {
		out = append(out, k)
	}
	return out
}

// Sweep moves the keys that were not used for enclaveAfter to enclaves.
func (p *Pool) Sweep() {
	for _, k := range p.all() {
		k.MoveToEnclave(time.Now().Add(-enclaveAfter))
	}
}

// Close destroys all keys.
func (p *Pool) Close() error {
	for _, k := range p.all() {
		k.Destroy()
	}
	return p.arena.Close()
}
