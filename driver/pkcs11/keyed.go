//go:build cgo && unix

package pkcs11

import (
	"context"
	"sync"

	"strongroom.example/driver"
)

// A keyedLock is a lock for each id, so that two calls do not make the same key.
type keyedLock struct {
	mu    sync.Mutex
	locks map[driver.MaterialID]*counted
}

// counted is a lock and the number of calls that hold it or wait for it.
type counted struct {
	lock
	users int
}

func (k *keyedLock) take(ctx context.Context, id driver.MaterialID) error {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = make(map[driver.MaterialID]*counted)
	}
	c := k.locks[id]
	if c == nil {
		c = &counted{lock: newLock()}
		k.locks[id] = c
	}
	c.users++
	k.mu.Unlock()
	err := c.lock.take(ctx)
	if err != nil {
		k.forget(id)
	}
	return err
}

func (k *keyedLock) give(id driver.MaterialID) {
	k.mu.Lock()
	c := k.locks[id]
	k.mu.Unlock()
	c.lock.give()
	k.forget(id)
}

func (k *keyedLock) forget(id driver.MaterialID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c := k.locks[id]; c.users > 1 {
		c.users--
	} else {
		delete(k.locks, id)
	}
}
