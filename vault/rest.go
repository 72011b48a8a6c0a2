package vault

import (
	"sync"
	"time"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// restAfter is how long a data key stays in locked memory after its last use
// before it is laid to rest in an enclave. Opening an enclave costs 19 system
// calls, so that it must not happen at each use.
const restAfter = time.Second

// restroom knows the live data keys of a vault and lays idle ones to rest.
type restroom struct {
	arena *lockedmem.Arena
	mu    sync.Mutex
	keys  map[*DataKey]struct{}
}

func newRestroom(a *lockedmem.Arena) *restroom {
	return &restroom{arena: a, keys: map[*DataKey]struct{}{}}
}

// admit makes a DataKey of size zero bytes, which the caller fills by Use.
func (r *restroom) admit(id string, size int, s suite.ID) (*DataKey, error) {
	plain, err := r.arena.Alloc(size)
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

// sweep lays to rest what was not used for restAfter.
func (r *restroom) sweep() {
	for _, k := range r.all() {
		k.layToRest(time.Now().Add(-restAfter))
	}
}

func (r *restroom) destroyAll() {
	for _, k := range r.all() {
		k.Destroy()
	}
}
