// Package memorykey keeps data keys in locked memory while they are in use, and in memguard
// enclaves at rest.
package memorykey

import (
	"fmt"
	"sync"
	"time"

	"github.com/awnumar/memguard"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/redact"
	"strongroom.example/internal/suite"
	"strongroom.example/vault/internal/fault"
)

// A Key is a data key of a Pool. A nil Key behaves as a destroyed one. It prints redacted.
type Key struct {
	redact.Secret
	size  int
	suite suite.ID
	pool  *Pool

	mu        sync.Mutex
	users     int
	idle      sync.Cond // signalled when users becomes 0
	lastUse   time.Time
	open      *lockedmem.Buffer
	enclave   *memguard.Enclave
	aead      *suite.AEAD
	pinned    bool // Pin was called: the key stays in locked memory
	destroyed bool
}

// Use calls f with the key's bytes, which are in locked memory and valid only until f
// returns. It returns the error of f, ErrClosed after Destroy, or ErrLockedMemory.
func (k *Key) Use(f func(key []byte) error) error {
	b, err := k.acquire()
	if err != nil {
		return err
	}
	defer k.Release()
	return f(b)
}

// acquire loads the key into locked memory. The caller must call Release.
func (k *Key) acquire() ([]byte, error) {
	if k == nil {
		return nil, fault.ErrClosed
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.reload(); err != nil {
		return nil, err
	}
	k.users++
	return k.open.Bytes(), nil
}

// Pin loads the key with its cipher. From then on the key stays in locked memory, so that
// Cipher fails only after Destroy.
func (k *Key) Pin() error {
	return k.Use(func(key []byte) error {
		k.mu.Lock()
		defer k.mu.Unlock()
		if err := k.loadCipher(); err != nil {
			return err
		}
		k.pinned = true
		return nil
	})
}

// Cipher returns the key's cipher. The caller must call Release. After Pin it fails only with
// ErrClosed after Destroy.
func (k *Key) Cipher() (*suite.AEAD, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.reload(); err != nil {
		return nil, err
	}
	if err := k.loadCipher(); err != nil {
		return nil, err
	}
	k.users++
	return k.aead, nil
}

// loadCipher makes the cipher of an open key. The caller holds k.mu.
func (k *Key) loadCipher() (err error) {
	if k.aead == nil {
		k.aead, err = k.suite.NewDataAEAD(k.open.Bytes())
	}
	return err
}

// reload loads the key from its enclave. The caller holds k.mu.
func (k *Key) reload() error {
	if k.destroyed {
		return fault.ErrClosed
	}
	if k.open != nil {
		return nil
	}
	b, err := k.pool.alloc(k.size)
	if err != nil {
		return fmt.Errorf("%w: %w", fault.ErrLockedMemory, err)
	}
	if err := fromEnclave(k.enclave, b.Bytes()); err != nil {
		b.Free()
		return err
	}
	k.open, k.enclave = b, nil
	return nil
}

// Release ends a use that Cipher began.
func (k *Key) Release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.users--
	k.lastUse = time.Now()
	if k.users == 0 {
		k.idle.Broadcast()
	}
}

// Destroy waits for running uses and wipes the key. It may be called twice.
func (k *Key) Destroy() {
	if k == nil {
		return
	}
	k.pool.remove(k)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.destroyed = true
	for k.users > 0 {
		k.idle.Wait()
	}
	if k.open != nil {
		k.open.Free()
		k.open = nil
	}
	k.wipeCipher()
	k.enclave = nil
}

// wipeCipher wipes the cipher's state, which is on the heap. The caller holds k.mu.
func (k *Key) wipeCipher() {
	if k.aead != nil {
		k.aead.Wipe()
		k.aead = nil
	}
}
