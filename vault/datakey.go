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

// The usual sizes of data keys, in bytes.
const (
	// DataKeyDefault stands for the key size of the edition's cipher: 32 bytes, or 16 in
	// the SM edition.
	DataKeyDefault = 0
	DataKey128     = 16
	DataKey256     = 32
)

// A DataKey is a symmetric key for the caller's own data. Its plaintext is in
// locked memory while in use and in a memguard enclave at rest; its ciphertext is
// what the caller keeps. Destroy it when done. It prints redacted.
type DataKey struct {
	redacted
	key        string
	ciphertext []byte
	size       int
	room       *restroom
	suite      suite.ID

	mu        sync.Mutex
	users     int
	idle      sync.Cond // signalled when users falls to 0
	lastUse   time.Time
	open      *lockedmem.Buffer
	resting   *memguard.Enclave
	aead      *suite.AEAD
	pinned    bool // has a cipher, which must not fail: the key stays in locked memory
	destroyed bool
}

// Key returns the id of the CMK that the data key is encrypted under.
func (k *DataKey) Key() string { return k.key }

// Ciphertext returns the encrypted data key, to be kept beside the data. The
// caller does not modify it.
func (k *DataKey) Ciphertext() []byte { return k.ciphertext }

// Size returns the length of the key in bytes.
func (k *DataKey) Size() int { return k.size }

// Suite names the algorithms of the vault that made the key.
func (k *DataKey) Suite() string { return k.suite.String() }

// StreamSuite returns the suite of streams under the key, which stream.KeySuite stands for:
// that of the vault's edition, and of the key's size.
func (k *DataKey) StreamSuite() stream.Suite {
	switch {
	case k.suite == suite.SM:
		return stream.SM4GCM
	case k.size < DataKey256:
		return stream.AES128GCM
	}
	return stream.AES256GCM
}

// Use calls f with the key's bytes, which are in locked memory and valid only
// until f returns; f keeps and changes nothing. It returns f's error, ErrClosed
// after Destroy and for nil, or ErrLockedMemory.
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

// AEAD returns a cipher over the key: AES-256-GCM for 32 bytes and AES-128-GCM for 16, or
// SM4-GCM for 16 bytes in the SM edition.
// Its NonceSize is 0: Seal makes a random nonce and puts it in front; pass a nil
// nonce. It lives until Destroy, or Vault.Close. After that Open returns ErrClosed, and
// Seal, which has no error, panics with "strongroom: use of a destroyed data key": end
// what seals before closing the vault. Lack of memory that can be locked is an error of
// AEAD alone, since from here on the key stays in locked memory and does not move to an
// enclave. A key of another size is ErrUnsupported. One key is good for 2^32 calls of Seal.
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

// Destroy waits for running calls and wipes the key. Twice is fine, and so is nil. A
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
