package vault

import (
	"sync"
	"sync/atomic"

	"strongroom.example/driver"
)

// handlesKept is the number of unused keys that are kept open.
const handlesKept = 1024

// handles keeps the drivers' keys open between operations.
type handles struct {
	mu      sync.Mutex
	open    map[driver.MaterialID]*handle
	opening map[driver.MaterialID]int // number of goroutines that are opening the key
	retired map[driver.MaterialID]*retirement
	closing sync.WaitGroup // closing of drained keys
}

// handle is one opened key. users is the number of operations that hold it.
type handle struct {
	key   driver.Key
	users int
	// tracked is key if its driver may have to look the key up again; otherwise nil. checked
	// is the key's number of lookups at the time of its last check.
	tracked driver.Tracked
	checked atomic.Uint64
}

func newHandles() *handles {
	return &handles{
		open: map[driver.MaterialID]*handle{}, opening: map[driver.MaterialID]int{},
		retired: map[driver.MaterialID]*retirement{},
	}
}

// take returns an open handle. The caller must return it with give.
func (h *handles) take(id driver.MaterialID) (*handle, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one, ok := h.open[id]
	if ok {
		one.users++
	}
	return one, ok
}

// put keeps a newly opened key and returns its handle, or the handle that another goroutine
// opened first. checked is the key's number of lookups when it was checked.
func (h *handles) put(id driver.MaterialID, key driver.Key, checked uint64) *handle {
	one, idle := h.keep(id, key, checked)
	closeKeys(idle)
	return one
}

// keep is put without closing keys: the caller closes the keys in idle after the lock is
// released, because closing may take a device long.
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

// evict removes up to n unused handles and returns their keys. The caller holds h.mu and
// closes the keys after releasing it.
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

// trim closes every unused handle, to free locked memory.
func (h *handles) trim() {
	h.mu.Lock()
	idle := h.evict(len(h.open))
	h.mu.Unlock()
	closeKeys(idle)
}

// begin lets the caller open material until it calls end. It returns false if the material
// is being destroyed.
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
