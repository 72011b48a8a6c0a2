package vault

import (
	"context"
	"sync"

	"strongroom.example/driver"
)

// handlesKept is how many opened keys are kept when nobody uses them.
const handlesKept = 1024

// handles keeps keys of drivers open between operations.
type handles struct {
	mu      sync.Mutex
	open    map[driver.MaterialID]*handle
	opening map[driver.MaterialID]int // who opens it just now
	retired map[driver.MaterialID]*retirement
	closing sync.WaitGroup // of retired keys
}

// retirement is of material that is being destroyed: it is not kept open any more. It
// ends when the material is gone from the store, where nobody finds it then, and nobody
// is left who had found it before.
type retirement struct {
	closed chan struct{} // its key, after running calls
	gone   bool
}

// handle is one opened key; users counts those who hold it.
type handle struct {
	key   driver.Key
	users int
}

func newHandles() *handles {
	return &handles{
		open: map[driver.MaterialID]*handle{}, opening: map[driver.MaterialID]int{},
		retired: map[driver.MaterialID]*retirement{},
	}
}

// take returns an open handle; give it back.
func (h *handles) take(id driver.MaterialID) (*handle, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one, ok := h.open[id]
	if ok {
		one.users++
	}
	return one, ok
}

// put keeps a newly opened key and returns its handle, or the one that another
// goroutine opened before.
func (h *handles) put(id driver.MaterialID, key driver.Key) *handle {
	one, idle := h.keep(id, key)
	closeKeys(idle)
	return one
}

// keep is put, but for the keys that are to be closed: a device takes its time, and
// nobody shall wait for it with the lock held.
func (h *handles) keep(id driver.MaterialID, key driver.Key) (one *handle, idle []driver.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if one, ok := h.open[id]; ok {
		one.users++
		return one, []driver.Key{key}
	}
	one = &handle{key, 1}
	if h.retired[id] != nil {
		return one, []driver.Key{key}
	}
	if len(h.open) >= handlesKept {
		idle = h.evict(handlesKept / 8)
	}
	h.open[id] = one
	return one, idle
}

func closeKeys(keys []driver.Key) {
	for _, key := range keys {
		key.Close()
	}
}

func (h *handles) give(one *handle) {
	h.mu.Lock()
	one.users--
	h.mu.Unlock()
}

// evict takes out up to n handles that nobody uses, for the caller, who holds the lock,
// to close.
func (h *handles) evict(n int) (idle []driver.Key) {
	for id, one := range h.open {
		if len(idle) == n {
			break
		}
		if one.users == 0 {
			idle = append(idle, one.key)
			delete(h.open, id)
		}
	}
	return idle
}

// trim closes every handle that nobody uses, to free locked memory.
func (h *handles) trim() {
	h.mu.Lock()
	idle := h.evict(len(h.open))
	h.mu.Unlock()
	closeKeys(idle)
}

// begin lets the caller open material until end; false if it is being destroyed.
func (h *handles) begin(id driver.MaterialID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.retired[id] != nil {
		return false
	}
	h.opening[id]++
	return true
}

func (h *handles) end(id driver.MaterialID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.opening[id]--; h.opening[id] > 0 {
		return
	}
	delete(h.opening, id)
	if r := h.retired[id]; r != nil && r.gone {
		delete(h.retired, id)
	}
}

// retire closes the key of material that is to be destroyed, and waits until running
// calls have ended. From then on it is never kept open.
func (h *handles) retire(ctx context.Context, id driver.MaterialID) error {
	select {
	case <-h.retirement(id).closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retirement begins the retirement of material, unless it has begun.
func (h *handles) retirement(id driver.MaterialID) *retirement {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.retired[id]; r != nil {
		return r
	}
	r := &retirement{closed: make(chan struct{})}
	h.retired[id] = r
	one := h.open[id]
	delete(h.open, id)
	if one == nil {
		close(r.closed)
		return r
	}
	h.closing.Go(func() {
		defer close(r.closed)
		one.key.Close()
	})
	return r
}

// forget ends the retirement of material that is gone from the store.
func (h *handles) forget(id driver.MaterialID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch r := h.retired[id]; {
	case r == nil:
	case h.opening[id] > 0:
		r.gone = true
	default:
		delete(h.retired, id)
	}
}

func (h *handles) closeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, one := range h.open {
		one.key.Close()
		delete(h.open, id)
	}
	h.closing.Wait()
}
