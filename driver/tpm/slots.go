package tpm

import (
	"crypto/sha256"
	"slices"
	"sync"

	"github.com/google/go-tpm/tpm2"
)

// maxLoaded is how many keys stay in the TPM. Chips have three slots, and a command on
// a persistent key takes one while it runs.
const maxLoaded = 2

// slots are the keys that are open, and those that are in the TPM: a closed key stays
// there until its slot is needed, so that opening it again costs nothing.
type slots struct {
	loaded     []*resident // the least recently used first
	generation uint64      // contexts of another are void

	mu    sync.Mutex
	known map[[sha256.Size]byte]*resident
}

// find returns the key of a blob if it is known, for one more user.
func (s *slots) find(id [sha256.Size]byte) *resident {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.known[id]
	if r != nil {
		r.refs++
	}
	return r
}

// keep makes a key known that was just loaded, for its first user.
func (s *slots) keep(r *resident) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.refs = 1
	s.known[r.id] = r
}

// release takes a user away. What has no user and no slot is forgotten.
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

// settle notes that a key has a handle, or with 0 that it has none.
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

// use makes sure that a key is in the TPM and returns it. The keys used last stay.
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
		r.context = nil // of before a reset that nobody noticed; the blob is still good
	}
	d.makeRoom()
	handle, err := d.load(r)
	if err != nil {
		return entity{}, err
	}
	d.slots.settle(r, handle)
	return r.entity(), nil
}

// touch notes that a key is used.
func (s *slots) touch(r *resident) {
	if s.loaded[len(s.loaded)-1] != r {
		s.settle(r, r.handle)
	}
}

// makeRoom frees a slot for an object that is loaded under the storage root key, which
// may need one itself meanwhile.
func (d *device) makeRoom() {
	room := maxLoaded - 1
	if d.srk.context != nil {
		room--
	}
	d.slots.evict(d, room)
}

// evict takes keys out of the TPM until at most left are in it. Those that are open
// are saved first, since that makes loading them again faster.
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

// victim is a key that is closed, else the one that was used longest ago.
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

// evictAll makes all the room that there is.
func (s *slots) evictAll(d *device) { s.evict(d, 0) }

// forgetHandles notes that nothing is in the TPM any more.
func (s *slots) forgetHandles() {
	for len(s.loaded) > 0 {
		s.settle(s.loaded[0], 0)
	}
}

// forgetContexts voids what was saved before a reset.
func (s *slots) forgetContexts() { s.generation++ }

// releaseAll forgets every key, open or not. Nothing runs any more.
func (s *slots) releaseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range s.known {
		delete(s.known, id)
		r.auth.Free()
	}
}
