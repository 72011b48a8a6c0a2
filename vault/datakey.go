package vault

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/awnumar/memguard"

	"strongroom.example/internal/ciphertext"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// The usual sizes of data keys, in bytes.
const (
	DataKey128 = 16
	DataKey256 = 32
)

// A DataKey is a symmetric key for the caller's own data. Its plaintext is in
// locked memory while in use and in a memguard enclave at rest; its ciphertext is
// what the caller keeps. Destroy it when done. It prints redacted.
type DataKey struct {
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
	destroyed bool
}

// GenerateDataKey makes a data key of size bytes (DataKey128, DataKey256, or any
// from 1 to MaxRandom; the FIPS edition makes none below 14), encrypted under the CMK
// and bound to the context. Errors: those of Encrypt, ErrInvalid or ErrTooLarge for
// the size, ErrUnsupported for one that the edition does without, ErrLockedMemory.
func (c Client) GenerateDataKey(ctx context.Context, key string, size int, ec EncryptionContext) (*DataKey, error) {
	canonical, err := ciphertext.CanonicalContext(ec)
	if err = errors.Join(checkRandomSize(size), err); err != nil {
		return nil, c.reject(OpGenerateDataKey, key, err)
	}
	var k *DataKey
	q := request{op: OpGenerateDataKey, key: key, context: ec}
	err = c.onKey(ctx, q, func(ctx context.Context, t *target, e *entry) (err error) {
		v := c.vault
		if err := excludedSize(v.cfg.Edition, size); err != nil {
			return err
		}
		k.Destroy()
		if k, err = v.rest.admit(t.ID, size, v.suite); err != nil {
			return err
		}
		e.rec.Algorithm, e.rec.OutputSize = v.suite.String(), uint64(size)
		return k.Use(func(plain []byte) (err error) {
			v.hedge.fill(plain, canonical)
			k.ciphertext, err = v.seal(ctx, t, canonical, plain)
			return err
		})
	})
	if err != nil {
		k.Destroy()
		return nil, err
	}
	return k, nil
}

// GenerateDataKeyWithoutPlaintext makes a data key that nobody has seen yet, and
// returns its ciphertext for OpenDataKey. Errors are those of GenerateDataKey.
func (c Client) GenerateDataKeyWithoutPlaintext(ctx context.Context, key string, size int, ec EncryptionContext) ([]byte, error) {
	k, err := c.GenerateDataKey(ctx, key, size, ec)
	if err != nil {
		return nil, err
	}
	defer k.Destroy()
	return k.ciphertext, nil
}

// OpenDataKey decrypts a data key's ciphertext, given the same context. Errors are
// those of Decrypt; ErrUnsupported for a size that the edition does without, and
// ErrLockedMemory.
func (c Client) OpenDataKey(ctx context.Context, ct []byte, ec EncryptionContext) (*DataKey, error) {
	if n := len(ct) - Overhead; n < 1 || n > MaxRandom {
		return nil, c.reject(OpOpenDataKey, "", ErrCiphertext)
	}
	var k *DataKey
	err := c.open(ctx, OpOpenDataKey, ct, ec, func(ctx context.Context, canonical []byte, h ciphertext.Header) (n int, err error) {
		if err := excludedSize(c.vault.cfg.Edition, len(ct)-Overhead); err != nil {
			return 0, err
		}
		k.Destroy()
		k, n, err = c.vault.unsealed(ctx, h, ct, canonical)
		return n, err
	})
	if err != nil {
		k.Destroy()
		return nil, err
	}
	k.ciphertext = slices.Clone(ct)
	return k, nil
}

// unsealed decrypts ct into a data key of at least one byte, and tells how many it
// has. The caller destroys it, unless it is nil.
func (v *Vault) unsealed(ctx context.Context, h ciphertext.Header, ct, canonical []byte) (k *DataKey, n int, err error) {
	if k, err = v.rest.admit(formatKeyID(h.KeyID), max(1, len(ct)-Overhead), v.suite); err != nil {
		return nil, 0, err
	}
	err = k.Use(func(plain []byte) error {
		got, err := v.unseal(ctx, h, ct, canonical, plain[:0])
		n = len(got)
		return err
	})
	return k, n, err
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

// Use calls f with the key's bytes, which are in locked memory and valid only
// until f returns; f keeps and changes nothing. It returns f's error, ErrClosed
// after Destroy, or ErrLockedMemory.
func (k *DataKey) Use(f func(key []byte) error) error {
	b, err := k.acquire()
	if err != nil {
		return wrap("UseDataKey", k.Key(), err)
	}
	defer k.giveBack()
	return f(b)
}

// AEAD returns a cipher over the key: AES-256-GCM, or SM4-GCM in the SM edition.
// Its NonceSize is 0: Seal makes a random nonce and puts it in front; pass a nil
// nonce. It lives until Destroy, or Vault.Close; later use panics with "strongroom: use
// of a destroyed data key". The key must be 32 bytes (SM:
// 16), else ErrUnsupported. One key is good for 2^32 calls of Seal.
func (k *DataKey) AEAD() (cipher.AEAD, error) {
	if k.room == nil {
		return nil, wrap("AEAD", "", ErrClosed)
	}
	if k.size != k.suite.KeySize() {
		return nil, &Error{Op: "AEAD", Key: k.key, Err: fmt.Errorf("%w: the key has %d bytes, the cipher takes %d", ErrUnsupported, k.size, k.suite.KeySize())}
	}
	err := k.Use(func(key []byte) error {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.aead != nil {
			return nil
		}
		a, err := k.suite.NewAEAD(key)
		k.aead = a
		return err
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
	if k.aead != nil {
		k.aead.Wipe()
		k.aead = nil
	}
	k.resting = nil
}

// String shows that there is a key, and never the key.
func (k *DataKey) String() string { return "vault.DataKey(redacted)" }

// Format is String, for every verb.
func (k *DataKey) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// LogValue is String.
func (k *DataKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON is String, quoted.
func (k *DataKey) MarshalJSON() ([]byte, error) { return []byte(`"vault.DataKey(redacted)"`), nil }
