//go:build cgo && unix

package object

import (
	"errors"
	"sync"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

var errStillThere = errors.New("the token still shows an object that it has destroyed")

// DestroyAll destroys every object under id, and returns errAbsent if there is none.
func (s Session) DestroyAll(id driver.MaterialID, failed *FailedDestroys) error {
	all, initCount := cryptoki.Template{cryptoki.Bytes(p11.CKA_ID, id[:])}, s.Epoch.InitCount
	n, err := s.DestroyMatching(all)
	if err != nil {
		if e, ok := errors.AsType[*cryptoki.ReturnError](err); ok && e.Call == "C_DestroyObject" && cryptoki.Classify(err).Recovery != cryptoki.Retry {
			failed.add(id, initCount)
		}
		return err
	}
	found, err := s.Find(all)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return cryptoki.Fault("C_DestroyObject", driver.Unknown, errStillThere)
	}
	switch {
	case failed.hidden(id, initCount):
		return cryptoki.ErrFailedDestroy
	case n == 0:
		return cryptoki.ErrAbsent
	}
	return nil
}

// FailedDestroys are the keys that a token failed to destroy, each with the value of the
// module's initCount at that time. SoftHSM forgets the handle before it removes the file,
// so such a key is no longer found but is back after the next start. The driver therefore
// believes that it is gone only after that count has increased.
type FailedDestroys struct {
	mu    sync.Mutex
	since map[driver.MaterialID]uint64
}

// add records that a key could not be destroyed.
func (k *FailedDestroys) add(id driver.MaterialID, initCount uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.since == nil {
		k.since = make(map[driver.MaterialID]uint64)
	}
	k.since[id] = initCount
}

// hidden reports whether a key that is not found may still exist.
func (k *FailedDestroys) hidden(id driver.MaterialID, initCount uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	since, ok := k.since[id]
	if ok && since != initCount {
		delete(k.since, id)
		return false
	}
	return ok
}
