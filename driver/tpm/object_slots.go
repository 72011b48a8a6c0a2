package tpm

import (
	"crypto/sha256"
	"slices"
	"sync"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver/tpm/internal/wire"
	"strongroom.example/internal/lockedmem"
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

// add records a key that was just loaded, with its first user.
func (s *slots) add(r *resident) {
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
	s.freeUnused(r)
}

func (s *slots) freeUnused(r *resident) {
	if r.refs == 0 && r.handle == 0 {
		if s.known[r.id] == r {
			delete(s.known, r.id)
		}
		r.auth.Free()
	}
}

// setHandle records the handle of a key; 0 records that the key is not loaded.
func (s *slots) setHandle(r *resident, h tpm2.TPMHandle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.handle = h
	s.loaded = slices.DeleteFunc(s.loaded, func(other *resident) bool { return other == r })
	if h != 0 {
		s.loaded = append(s.loaded, r)
		return
	}
	s.freeUnused(r)
}

// use ensures that a key is loaded and returns it. The most recently used keys stay
// loaded.
func (d *device) use(r *resident) (wire.Entity, error) {
	if r.handle != 0 {
		d.slots.touch(r)
		return r.entity(), nil
	}
	if r.context != nil && r.generation == d.slots.generation {
		d.slots.evict(d, maxLoaded-1)
		handle, err := d.restore(r.context)
		if err == nil {
			d.slots.setHandle(r, handle)
			return r.entity(), nil
		}
		if wire.CodeOf(err) == 0 {
			return wire.Entity{}, err
		}
		r.context = nil // the context precedes an undetected reset; the blob is still valid
	}
	d.freeSlot()
	handle, err := d.load(r)
	if err != nil {
		return wire.Entity{}, err
	}
	d.slots.setHandle(r, handle)
	return r.entity(), nil
}

// touch marks a key as the most recently used.
func (s *slots) touch(r *resident) {
	if s.loaded[len(s.loaded)-1] != r {
		s.setHandle(r, r.handle)
	}
}

// freeSlot frees a slot for an object that is loaded under the storage root key, which
// takes a slot itself while it is not persistent.
func (d *device) freeSlot() {
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
		r := s.evictionCandidate()
		if s.open(r) && (r.context == nil || r.generation != s.generation) {
			if context, err := d.save(r.handle); err == nil {
				r.context, r.generation = context, s.generation
			}
		}
		d.flush(r.handle)
		s.setHandle(r, 0)
	}
}

// evictionCandidate returns a closed key, or else the least recently used one.
func (s *slots) evictionCandidate() *resident {
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
		s.setHandle(s.loaded[0], 0)
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

// A resident is a key of this TPM, which is loaded when it is used. handle and context
// belong to the goroutine that has the TPM; handle is written under the lock of slots.
type resident struct {
	id      [sha256.Size]byte // hash of the blob, its id and its spec
	public  []byte
	private []byte // wrapped by the TPM
	name    []byte
	auth    *lockedmem.Buffer

	refs       int // the number of open handles, under the lock of slots
	handle     tpm2.TPMHandle
	context    []byte
	generation uint64 // of the context
}

// Loaded implements [queue.Key].
func (r *resident) Loaded() bool { return r.handle != 0 }

// entity returns the handle and the name of the loaded key.
func (r *resident) entity() wire.Entity { return wire.Entity{Handle: r.handle, Name: r.name} }

// load loads a key into the TPM, which verifies that the two areas belong together and to
// it.
func (d *device) load(r *resident) (handle tpm2.TPMHandle, err error) {
	err = d.withSRK(func(parent wire.Entity) error {
		rsp, err := d.execute(wire.Command{
			Code:          tpm2.TPMCCLoad,
			Handles:       []wire.Entity{parent},
			Params:        wire.AppendSized(wire.AppendSized(nil, r.private), r.public),
			Session:       d.session,
			ReturnsHandle: true,
		})
		if err != nil {
			return d.explainSRKAuth(err)
		}
		name := wire.Reader{Rest: rsp.Params}
		handle, r.name = rsp.Handle, append([]byte(nil), name.Sized()...)
		return name.Done()
	})
	return handle, err
}

// save returns the saved context of a loaded object.
func (d *device) save(h tpm2.TPMHandle) ([]byte, error) {
	rsp, err := d.execute(wire.Command{Code: tpm2.TPMCCContextSave, Params: wire.HandleBytes(h)})
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), rsp.Params...), nil
}

// restore loads an object from its saved context.
func (d *device) restore(context []byte) (tpm2.TPMHandle, error) {
	rsp, err := d.execute(wire.Command{Code: tpm2.TPMCCContextLoad, Params: context, ReturnsHandle: true})
	return rsp.Handle, err
}
