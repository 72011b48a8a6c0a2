package tpm

import (
	"crypto/sha256"
	"slices"
	"sync"

	"github.com/google/go-tpm/tpm2"
)

// maxLoaded is how many keys stay loaded in the TPM. A chip has three object slots, and a
// command on a persistent key takes one while it runs.
const maxLoaded = 2

// slots are the open keys, and the keys that are loaded in the TPM. A closed key stays
// loaded until its slot is needed, so that opening it again costs no command.
type slots struct {
	loaded     []*resident // the least recently used first
	generation uint64      // contexts of another generation are void

	mu    sync.Mutex
	known map[[sha256.Size]byte]*resident
}

// find returns the key of a blob if it is known, and counts one more user.
func (s *slots) find(id [sha256.Size]byte) *resident {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.known[id]
	if r != nil {
		r.refs++
	}
	return r
}

// keep records a key that was just loaded, with its first user.
func (s *slots) keep(r *resident) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.refs = 1
	s.known[r.id] = r
}

// release removes one user of a key. A key without users and without a slot is forgotten.
func (s *slots) release(r *resident) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.refs--
	s.tidy(r)
}

func (s *slots) tidy(r *resident) {
	if r.refs == 0 && r.handle == 0 {
		if s.known[r.id] == r {
			delete(s.known, r.id)
		}
		r.auth.Free()
	}
}

// settle records the handle of a key; 0 records that the key is not loaded.
func (s *slots) settle(r *resident, h tpm2.TPMHandle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.handle = h
	s.loaded = slices.DeleteFunc(s.loaded, func(other *resident) bool { return other == r })
	if h != 0 {
		s.loaded = append(s.loaded, r)
		return
	}
	s.tidy(r)
}

// use ensures that a key is loaded and returns it. The most recently used keys stay
// loaded.
func (d *device) use(r *resident) (entity, error) {
	if r.handle != 0 {
		d.slots.touch(r)
		return r.entity(), nil
	}
	if r.context != nil && r.generation == d.slots.generation {
		d.slots.evict(d, maxLoaded-1)
		handle, err := d.restore(r.context)
		if err == nil {
			d.slots.settle(r, handle)
			return r.entity(), nil
		}
		if codeOf(err) == 0 {
			return entity{}, err
		}
		r.context = nil // the context precedes an undetected reset; the blob is still valid
	}
	d.makeRoom()
	handle, err := d.load(r)
	if err != nil {
		return entity{}, err
	}
	d.slots.settle(r, handle)
	return r.entity(), nil
}

// touch marks a key as the most recently used.
func (s *slots) touch(r *resident) {
	if s.loaded[len(s.loaded)-1] != r {
		s.settle(r, r.handle)
	}
}

// makeRoom frees a slot for an object that is loaded under the storage root key, which
// takes a slot itself while it is not persistent.
func (d *device) makeRoom() {
	room := maxLoaded - 1
	if d.srk.context != nil {
		room--
	}
	d.slots.evict(d, room)
}

// evict unloads keys until at most left are loaded. It saves the context of open keys
// first, because restoring a context is faster than loading.
func (s *slots) evict(d *device, left int) {
	for len(s.loaded) > left {
		r := s.victim()
		if s.open(r) && (r.context == nil || r.generation != s.generation) {
			if context, err := d.save(r.handle); err == nil {
				r.context, r.generation = context, s.generation
			}
		}
		d.flush(r.handle)
		s.settle(r, 0)
	}
}

// victim returns a closed key, or else the least recently used one.
func (s *slots) victim() *resident {
	for _, r := range s.loaded {
		if !s.open(r) {
			return r
		}
	}
	return s.loaded[0]
}

func (s *slots) open(r *resident) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.refs > 0
}

// evictAll unloads all keys.
func (s *slots) evictAll(d *device) { s.evict(d, 0) }

// forgetHandles records that no key is loaded any more.
func (s *slots) forgetHandles() {
	for len(s.loaded) > 0 {
		s.settle(s.loaded[0], 0)
	}
}

// forgetContexts invalidates the contexts that were saved before a reset.
func (s *slots) forgetContexts() { s.generation++ }

// releaseAll forgets every key, open or not, and frees its authorization value. No call
// runs at this point.
func (s *slots) releaseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range s.known {
		delete(s.known, id)
		r.auth.Free()
	}
}
