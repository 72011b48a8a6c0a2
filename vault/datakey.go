package vault

import (
	"crypto/cipher"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/awnumar/memguard"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
	"strongroom.example/vault/stream"
)

// Common sizes of data keys, in bytes.
const (
	// DataKeyDefault selects the key size of the edition's cipher: 32 bytes, or 16 in the SM
	// edition.
	DataKeyDefault = 0
	DataKey128     = 16
	DataKey256     = 32
)

// A DataKey is a symmetric key for the caller's own data. Its plaintext is in locked memory
// while in use, and in a memguard enclave at rest unless AEAD was called. The caller stores
// its ciphertext, and destroys the DataKey with Destroy. It prints redacted.
type DataKey struct {
	redacted
	key        string
	ciphertext []byte
	size       int
	room       *restroom
	suite      suite.ID

	mu        sync.Mutex
	users     int
	idle      sync.Cond // signalled when users becomes 0
	lastUse   time.Time
	open      *lockedmem.Buffer
	resting   *memguard.Enclave
	aead      *suite.AEAD
	pinned    bool // AEAD returned a cipher, which must not fail: the key stays in locked memory
	destroyed bool
}

// Key returns the id of the CMK that the data key is encrypted under.
func (k *DataKey) Key() string { return k.key }

// Ciphertext returns the encrypted data key, which the caller stores beside the data. The
// caller must not modify it.
func (k *DataKey) Ciphertext() []byte { return k.ciphertext }

// Size returns the length of the key in bytes.
func (k *DataKey) Size() int { return k.size }

// Suite returns the name of the algorithm suite of the vault that made the key.
func (k *DataKey) Suite() string { return k.suite.String() }

// StreamSuite returns the suite that stream.KeySuite selects for this key. It depends on
// the vault's edition and on the key's size.
func (k *DataKey) StreamSuite() stream.Suite {
	switch {
	case k.suite == suite.SM:
		return stream.SM4GCM
	case k.size < DataKey256:
		return stream.AES128GCM
	}
	return stream.AES256GCM
}

// Use calls f with the key's bytes. They are in locked memory and valid only until f
// returns; f must not keep or change them. Use returns the error of f, ErrClosed after
// Destroy and for a nil DataKey, ErrInvalid if f is nil, or ErrLockedMemory.
func (k *DataKey) Use(f func(key []byte) error) error {
	if k == nil {
		return wrap("UseDataKey", "", ErrClosed)
	}
	if f == nil {
		return wrap("UseDataKey", k.key, invalid("the function is nil"))
	}
	b, err := k.acquire()
	if err != nil {
		return wrap("UseDataKey", k.key, err)
	}
	defer k.giveBack()
	return f(b)
}

// AEAD returns a cipher that uses the key: AES-256-GCM for 32 bytes, AES-128-GCM for 16, or
// SM4-GCM for 16 bytes in the SM edition.
//
// The cipher's NonceSize is 0: pass a nil nonce. Seal makes a random nonce and puts it in
// front of the ciphertext. One key is good for 2^32 calls of Seal.
//
// The cipher works until Destroy or Vault.Close. After that Open returns ErrClosed. Seal
// has no error result and panics with "strongroom: use of a destroyed data key", so stop
// all goroutines that call Seal before closing the vault.
//
// AEAD loads the key, which from then on stays in locked memory and does not move to an
// enclave; only AEAD itself can therefore fail with ErrLockedMemory. It fails with
// ErrUnsupported for a key of another size, and with ErrClosed after Destroy.
func (k *DataKey) AEAD() (cipher.AEAD, error) {
	if k == nil || k.room == nil {
		return nil, wrap("AEAD", "", ErrClosed)
	}
	if sizes := k.suite.DataKeySizes(); !slices.Contains(sizes, k.size) {
		return nil, &Error{Op: "AEAD", Key: k.key, Err: fmt.Errorf("%w: the key has %d bytes, the cipher of this edition takes %v; make the data key with DataKeyDefault, or use package stream, which takes longer keys", ErrUnsupported, k.size, sizes)}
	}
	err := k.Use(func(key []byte) (err error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.aead == nil {
			if k.aead, err = k.suite.NewDataAEAD(key); err != nil {
				return err
			}
		}
		k.pinned = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return dataCipher{k}, nil
}

// Destroy waits for running calls and wipes the key. It may be called twice, and on nil. A
// function that Use runs must not call it.
func (k *DataKey) Destroy() {
	if k == nil || k.room == nil {
		return
	}
	k.room.forget(k)
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
	k.resting = nil
}
