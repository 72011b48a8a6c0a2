package vault

import (
	"sync"
	"sync/atomic"

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

// handle is one opened key; users counts those who hold it.
type handle struct {
	key   driver.Key
	users int
	// tracked is key where its driver may have to look it up again; else nil. checked is
	// its number of lookups when it was last checked.
	tracked driver.Tracked
	checked atomic.Uint64
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

// put keeps a newly opened key, which was checked at a number of lookups, and returns its
// handle, or the one that another goroutine opened before.
func (h *handles) put(id driver.MaterialID, key driver.Key, checked uint64) *handle {
	one, idle := h.keep(id, key, checked)
	closeKeys(idle)
	return one
}

// keep is put, but for the keys that are to be closed: a device takes its time, and
// nobody shall wait for it with the lock held.
func (h *handles) keep(id driver.MaterialID, key driver.Key, checked uint64) (one *handle, idle []driver.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if one, ok := h.open[id]; ok {
		one.users++
		return one, []driver.Key{key}
	}
	one = &handle{key: key, users: 1}
	one.tracked, _ = key.(driver.Tracked)
	one.checked.Store(checked)
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

func (h *handles) closeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, one := range h.open {
		one.key.Close()
		delete(h.open, id)
	}
	h.closing.Wait()
}
