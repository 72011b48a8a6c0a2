package memorykey

import (
	"fmt"
	"time"

	"github.com/awnumar/memguard"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
	"strongroom.example/vault/internal/fault"
)

// MoveToEnclave moves the key into an enclave if it was last used before the given time and is
// not in use. The key stays in locked memory if memguard cannot lock memory, or after Pin,
// because a cipher's Seal could not report that the key cannot be loaded. The state of the
// cipher is wiped in any case.
func (k *Key) MoveToEnclave(before time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.moveToEnclaveLocked(before)
}

// moveToEnclaveLocked is MoveToEnclave for a caller that holds k.mu.
func (k *Key) moveToEnclaveLocked(before time.Time) {
	if k.destroyed || k.users > 0 || k.open == nil || k.lastUse.After(before) {
		return
	}
	k.wipeCipher()
	if k.pinned {
		return
	}
	enclave, err := toEnclave(k.open.Bytes())
	if err != nil {
		return
	}
	k.enclave = enclave
	k.open.Free()
	k.open = nil
}

// AtRest reports whether the key is in an enclave only.
func (k *Key) AtRest() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.enclave != nil && k.open == nil
}

// Ciphered reports whether the state of the key's cipher is in memory.
func (k *Key) Ciphered() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.aead != nil
}

// toEnclave seals a copy of key in an enclave. It first checks that memory can be locked,
// because memguard otherwise exits the process or destroys every enclave in it.
func toEnclave(key []byte) (e *memguard.Enclave, err error) {
	defer func() {
		if recover() != nil {
			err = fault.ErrLockedMemory
		}
	}()
	if !lockedmem.Lockable() {
		return nil, fault.ErrLockedMemory
	}
	passing := append([]byte(nil), key...) // a copy, because NewEnclave wipes its argument
	defer suite.Wipe(passing)
	return memguard.NewEnclave(passing), nil
}

// fromEnclave copies the contents of an enclave to dst. It returns ErrLockedMemory if the
// enclave cannot be opened, for example after a call of memguard.Purge in this process.
func fromEnclave(e *memguard.Enclave, dst []byte) (err error) {
	defer func() {
		if recover() != nil {
			err = fault.ErrLockedMemory
		}
	}()
	if !lockedmem.Lockable() {
		return fault.ErrLockedMemory
	}
	b, err := e.Open()
	if err != nil {
		return fmt.Errorf("%w: the data key's enclave was destroyed by another user of memguard; open the data key again", fault.ErrLockedMemory)
	}
	defer b.Destroy()
	copy(dst, b.Bytes())
	return nil
}
