//go:build cgo && unix

package pkcs11

import (
	"sync"

	"strongroom.example/driver"
)

// Survivors are the keys that a token failed to destroy, with the birth of the module
// in which it did. SoftHSM forgets the handle before it removes the file: such a key
// is found no more, and is back after the next start. That it is gone is believed in
// a later birth only.
type survivors struct {
	mu    sync.Mutex
	since map[driver.MaterialID]uint64
}

// add notes that a key could not be destroyed.
func (k *survivors) add(id driver.MaterialID, birth uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.since == nil {
		k.since = make(map[driver.MaterialID]uint64)
	}
	k.since[id] = birth
}

// hidden reports whether a key that is not found may be there all the same.
func (k *survivors) hidden(id driver.MaterialID, birth uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	since, failed := k.since[id]
	if failed && since != birth {
		delete(k.since, id)
		return false
	}
	return failed
}
