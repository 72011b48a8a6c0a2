// Package keyhandles keeps the keys of drivers open between operations.
package keyhandles

import (
	"errors"
	"sync"
	"sync/atomic"

	"strongroom.example/driver"
)

// maxIdle is the number of unused keys that are kept open.
const maxIdle = 1024

// A Pool keeps the drivers' keys open. It is safe for concurrent use.
type Pool struct {
	mu       sync.Mutex
	open     map[driver.MaterialID]*Handle
	opening  map[driver.MaterialID]int // number of goroutines that are opening the key
	draining map[driver.MaterialID]*drain
	closing  sync.WaitGroup // closing of drained keys
}

// A Handle is one opened key.
type Handle struct {
	key   driver.Key
	users int // operations that hold it
	// tracked is key if its driver may have to look the key up again; otherwise nil. checked
	// is the key's number of lookups at the time of its last check.
	tracked driver.Tracked
	checked atomic.Uint64
}

// New returns an empty Pool.
func New() *Pool {
	return &Pool{
		open: map[driver.MaterialID]*Handle{}, opening: map[driver.MaterialID]int{},
		draining: map[driver.MaterialID]*drain{},
	}
}

// Key returns the opened key.
func (h *Handle) Key() driver.Key { return h.key }

// Take returns an open handle. The caller must return it with Give.
func (p *Pool) Take(id driver.MaterialID) (*Handle, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, ok := p.open[id]
	if ok {
		h.users++
	}
	return h, ok
}

// Give returns a handle of Take or Put.
func (p *Pool) Give(h *Handle) {
	p.mu.Lock()
	h.users--
	p.mu.Unlock()
}

// Put keeps a newly opened key and returns its handle, or the handle that another goroutine
// opened first. checked is the key's number of lookups when it was checked. The caller must
// return the handle with Give.
func (p *Pool) Put(id driver.MaterialID, key driver.Key, checked uint64) *Handle {
	h, idle := p.keep(id, key, checked)
	closeKeys(idle)
	return h
}

// keep is Put without closing keys: the caller closes the keys in idle after the lock is
// released, because closing may take a device long.
func (p *Pool) keep(id driver.MaterialID, key driver.Key, checked uint64) (h *Handle, idle []driver.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h, ok := p.open[id]; ok {
		h.users++
		return h, []driver.Key{key}
	}
	h = &Handle{key: key, users: 1}
	h.tracked, _ = key.(driver.Tracked)
	h.checked.Store(checked)
	if p.draining[id] != nil {
		return h, []driver.Key{key}
	}
	if len(p.open) >= maxIdle {
		idle = p.evict(maxIdle / 8)
	}
	p.open[id] = h
	return h, idle
}

func closeKeys(keys []driver.Key) {
	for _, key := range keys {
		key.Close()
	}
}

// evict removes up to n unused handles and returns their keys. The caller holds p.mu and
// closes the keys after releasing it.
func (p *Pool) evict(n int) (idle []driver.Key) {
	for id, h := range p.open {
		if len(idle) == n {
			break
		}
		if h.users == 0 {
			idle = append(idle, h.key)
			delete(p.open, id)
		}
	}
	return idle
}

// Trim closes every unused handle, to free locked memory.
func (p *Pool) Trim() {
	p.mu.Lock()
	idle := p.evict(len(p.open))
	p.mu.Unlock()
	closeKeys(idle)
}

// Begin lets the caller open material until it calls End. It returns false if the material
// is being destroyed.
func (p *Pool) Begin(id driver.MaterialID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining[id] != nil {
		return false
	}
	p.opening[id]++
	return true
}

// End ends what Begin began.
func (p *Pool) End(id driver.MaterialID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.opening[id]--; p.opening[id] > 0 {
		return
	}
	delete(p.opening, id)
	if d := p.draining[id]; d != nil && d.released {
		delete(p.draining, id)
	}
}

// Close closes every handle and waits for the closing of drained keys.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, h := range p.open {
		h.key.Close()
		delete(p.open, id)
	}
	p.closing.Wait()
}

// Counts returns the numbers of keys that are open, that are being opened, and whose
// material is being destroyed.
func (p *Pool) Counts() (open, opening, draining int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open), len(p.opening), len(p.draining)
}

// lookupTries is how often a key is checked, or used, again because its driver looked it up in
// between.
const lookupTries = 4

// ErrLookups reports a key that its driver keeps looking up.
var ErrLookups = errors.New("the driver repeatedly loses its handle of the key")

// lookups returns the number of times that the driver has looked up the key.
func lookups(key driver.Key) uint64 {
	if t, ok := key.(driver.Tracked); ok {
		return t.Lookups()
	}
	return 0
}

// Check calls check, which checks the key, and returns the number of lookups for which the
// check is valid, for Put. It repeats the check if the driver looked the key up in between,
// and fails with ErrLookups if the driver does so each time.
func Check(key driver.Key, check func() error) (uint64, error) {
	for range lookupTries {
		n := lookups(key)
		if err := check(); err != nil {
			return 0, err
		}
		if lookups(key) == n {
			return n, nil
		}
	}
	return 0, ErrLookups
}

// Use calls use, which uses the key. If the driver has looked the key up since the last
// check, Use discards the result of use, calls check, and calls use again. Errors: those of
// check and use, and ErrLookups.
func (h *Handle) Use(check, use func() error) error {
	if h.tracked == nil {
		return use()
	}
	for range lookupTries {
		checked := h.checked.Load()
		if h.tracked.Lookups() != checked {
			var err error
			if checked, err = Check(h.key, check); err != nil {
				return err
			}
			h.checked.Store(checked)
		}
		if err := use(); h.tracked.Lookups() == checked {
			return err
		}
	}
	return ErrLookups
}
