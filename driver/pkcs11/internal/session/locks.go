//go:build cgo && unix

package session

import (
	"context"
	"sync"

	"strongroom.example/driver"
)

// A mutex is a mutex whose waiters can give up when their context is done.
type mutex chan struct{}

func newMutex() mutex { return make(mutex, 1) }

// take takes the lock, or returns the context's error if the context is done first.
func (l mutex) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l mutex) give() { <-l }

// idLocks is a lock for each id, so that two calls do not make the same key.
type idLocks struct {
	mu    sync.Mutex
	locks map[driver.MaterialID]*countedMutex
}

// countedMutex is a lock and the number of calls that hold it or wait for it.
type countedMutex struct {
	mutex
	users int
}

func (k *idLocks) take(ctx context.Context, id driver.MaterialID) error {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = make(map[driver.MaterialID]*countedMutex)
	}
	c := k.locks[id]
	if c == nil {
		c = &countedMutex{mutex: newMutex()}
		k.locks[id] = c
	}
	c.users++
	k.mu.Unlock()
	err := c.mutex.take(ctx)
	if err != nil {
		k.forget(id)
	}
	return err
}

func (k *idLocks) give(id driver.MaterialID) {
	k.mu.Lock()
	c := k.locks[id]
	k.mu.Unlock()
	c.mutex.give()
	k.forget(id)
}

func (k *idLocks) forget(id driver.MaterialID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c := k.locks[id]; c.users > 1 {
		c.users--
	} else {
		delete(k.locks, id)
	}
}
