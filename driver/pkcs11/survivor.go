//go:build cgo && unix

package pkcs11

import (
	"sync"

	"strongroom.example/driver"
)

// survivors are the keys that a token failed to destroy, each with the value of
// module.births at that time. SoftHSM forgets the handle before it removes the file, so
// such a key is no longer found but is back after the next start. The driver therefore
// believes that it is gone only after births has increased.
type survivors struct {
	mu    sync.Mutex
	since map[driver.MaterialID]uint64
}

// add records that a key could not be destroyed.
func (k *survivors) add(id driver.MaterialID, birth uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.since == nil {
		k.since = make(map[driver.MaterialID]uint64)
	}
	k.since[id] = birth
}

// hidden reports whether a key that is not found may still exist.
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
