package vault

import (
	"fmt"
	"time"

	"github.com/awnumar/memguard"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// layToRest moves the key into an enclave if it was last used before the time given and
// is not in use now. Where memguard cannot lock memory the key stays where it is, which is
// locked as well; and so does a key with a cipher, whose Seal has no way to report that
// the key cannot be brought back. The cipher's state is wiped in any case.
func (k *DataKey) layToRest(before time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rest(before)
}

// rest is layToRest for a caller that holds the lock.
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

// wipeCipher wipes the cipher's state, which is on the heap. The caller holds the lock.
func (k *DataKey) wipeCipher() {
	if k.aead != nil {
		k.aead.Wipe()
		k.aead = nil
	}
}

// acquire brings the key into locked memory; giveBack must follow.
func (k *DataKey) acquire() ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.wake(); err != nil {
		return nil, err
	}
	k.users++
	return k.open.Bytes(), nil
}

// acquireCipher is acquire for the key's cipher. Its error is ErrClosed after Destroy:
// nothing else can fail, because AEAD has pinned the key.
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

// wake brings the key from its enclave. The caller holds the lock.
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

// enclose seals a copy of key in an enclave. memguard dies when it cannot lock
// memory, and takes every enclave of the process along: it is asked first.
func enclose(key []byte) (e *memguard.Enclave, err error) {
	defer func() {
		if recover() != nil {
			err = ErrLockedMemory
		}
	}()
	if !lockedmem.Lockable() {
		return nil, ErrLockedMemory
	}
	passing := append([]byte(nil), key...) // NewEnclave wipes what it is given
	defer suite.Wipe(passing)
	return memguard.NewEnclave(passing), nil
}

// disclose copies what is in an enclave to dst. An enclave that does not open any
// more (somebody in the process called memguard.Purge) is ErrLockedMemory.
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
