package vault

import (
	"fmt"
	"time"

	"github.com/awnumar/memguard"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// layToRest moves the key into an enclave if it was last used before the given time and is
// not in use. The key stays in locked memory if memguard cannot lock memory, or if AEAD
// returned a cipher, because the cipher's Seal could not report that the key cannot be
// loaded. The state of the cipher is wiped in any case.
func (k *DataKey) layToRest(before time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rest(before)
}

// rest is layToRest for a caller that holds k.mu.
func (k *DataKey) rest(before time.Time) {
	if k.destroyed || k.users > 0 || k.open == nil || k.lastUse.After(before) {
		return
	}
	k.wipeCipher()
	if k.pinned {
		return
	}
	enclave, err := enclose(k.open.Bytes())
	if err != nil {
		return
	}
	k.resting = enclave
	k.open.Free()
	k.open = nil
}

// wipeCipher wipes the cipher's state, which is on the heap. The caller holds k.mu.
func (k *DataKey) wipeCipher() {
	if k.aead != nil {
		k.aead.Wipe()
		k.aead = nil
	}
}

// acquire loads the key into locked memory. The caller must call giveBack.
func (k *DataKey) acquire() ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.wake(); err != nil {
		return nil, err
	}
	k.users++
	return k.open.Bytes(), nil
}

// acquireCipher is like acquire, and returns the key's cipher. It fails only with ErrClosed
// after Destroy, because AEAD has pinned the key.
func (k *DataKey) acquireCipher() (*suite.AEAD, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.wake(); err != nil {
		return nil, err
	}
	if k.aead == nil {
		a, err := k.suite.NewDataAEAD(k.open.Bytes())
		if err != nil {
			return nil, err
		}
		k.aead = a
	}
	k.users++
	return k.aead, nil
}

// wake loads the key from its enclave. The caller holds k.mu.
func (k *DataKey) wake() error {
	if k.destroyed || k.room == nil {
		return ErrClosed
	}
	if k.open != nil {
		return nil
	}
	b, err := k.room.alloc(k.size)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLockedMemory, err)
	}
	if err := disclose(k.resting, b.Bytes()); err != nil {
		b.Free()
		return err
	}
	k.open, k.resting = b, nil
	return nil
}

func (k *DataKey) giveBack() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.users--
	k.lastUse = time.Now()
	if k.users == 0 {
		k.idle.Broadcast()
	}
}

// enclose seals a copy of key in an enclave. It first checks that memory can be locked,
// because memguard otherwise exits the process or destroys every enclave in it.
func enclose(key []byte) (e *memguard.Enclave, err error) {
	defer func() {
		if recover() != nil {
			err = ErrLockedMemory
		}
	}()
	if !lockedmem.Lockable() {
		return nil, ErrLockedMemory
	}
	passing := append([]byte(nil), key...) // a copy, because NewEnclave wipes its argument
	defer suite.Wipe(passing)
	return memguard.NewEnclave(passing), nil
}

// disclose copies the contents of an enclave to dst. It returns ErrLockedMemory if the
// enclave cannot be opened, for example after a call of memguard.Purge in this process.
func disclose(e *memguard.Enclave, dst []byte) (err error) {
	defer func() {
		if recover() != nil {
			err = ErrLockedMemory
		}
	}()
	if !lockedmem.Lockable() {
		return ErrLockedMemory
	}
	b, err := e.Open()
	if err != nil {
		return fmt.Errorf("%w: the data key's enclave was destroyed by another user of memguard; open the data key again", ErrLockedMemory)
	}
	defer b.Destroy()
	copy(dst, b.Bytes())
	return nil
}
