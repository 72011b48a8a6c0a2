package vault

import (
	"errors"
	"sync"
	"time"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// restAfter is how long a data key stays in locked memory after its last use, before it is
// moved to an enclave. Opening an enclave takes 19 system calls, which is too much for each
// use.
const restAfter = time.Second

// restroom holds the live data keys of a vault and moves idle ones to enclaves.
type restroom struct {
	arena *lockedmem.Arena
	mu    sync.Mutex
	keys  map[*DataKey]struct{}
}

// newRestroom uses an arena of its own, which leaves memory for other operations, because
// callers can make any number of data keys. It makes an enclave now, because memguard locks
// its own pages with the first one: later the arenas may have used up the memory that can
// be locked.
func newRestroom() *restroom {
	enclose(make([]byte, 1))
	return &restroom{arena: lockedmem.NewRanked(0, lockedmem.Callers), keys: map[*DataKey]struct{}{}}
}

// admit makes a DataKey of size zero bytes. The caller sets them with Use.
func (r *restroom) admit(id string, size int, s suite.ID) (*DataKey, error) {
	plain, err := r.alloc(size)
	if err != nil {
		return nil, err
	}
	k := &DataKey{key: id, size: size, room: r, suite: s, open: plain, lastUse: time.Now()}
	k.idle.L = &k.mu
	r.mu.Lock()
	r.keys[k] = struct{}{}
	r.mu.Unlock()
	return k, nil
}

// alloc returns locked memory for a key. If there is none, it first moves all idle keys to
// enclaves.
func (r *restroom) alloc(size int) (*lockedmem.Buffer, error) {
	b, err := r.arena.Alloc(size)
	if !errors.Is(err, lockedmem.ErrExhausted) {
		return b, err
	}
	for _, k := range r.all() {
		if k.mu.TryLock() { // otherwise it is in use, perhaps by the caller
			k.rest(time.Now())
			k.mu.Unlock()
		}
	}
	return r.arena.Alloc(size)
}

func (r *restroom) forget(k *DataKey) {
	r.mu.Lock()
	delete(r.keys, k)
	r.mu.Unlock()
}

// all returns the live data keys.
func (r *restroom) all() []*DataKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*DataKey, 0, len(r.keys))
	for k := range r.keys {
		out = append(out, k)
	}
	return out
}

// sweep moves the keys that were not used for restAfter to enclaves.
func (r *restroom) sweep() {
	for _, k := range r.all() {
		k.layToRest(time.Now().Add(-restAfter))
	}
}

// close destroys all data keys.
func (r *restroom) close() error {
	for _, k := range r.all() {
		k.Destroy()
	}
	return r.arena.Close()
}
