package vault

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
// and bound to the context.
func (c Client) GenerateDataKey(ctx context.Context, key string, size int, ec EncryptionContext) (*DataKey, error) {
	if c.vault == nil {
		return nil, wrap(OpGenerateDataKey, key, ErrDenied)
	}
	plain, err := c.dataKeyBuffer(size)
	if err != nil {
		return nil, wrap(OpGenerateDataKey, key, err)
	}
	ct, id, err := c.newDataKey(ctx, key, plain, ec)
	if err != nil {
		plain.Free()
		return nil, err
	}
	return c.vault.rest.admit(id, ct, plain, c.vault.suite), nil
}

// GenerateDataKeyWithoutPlaintext makes a data key that nobody has seen yet, and
// returns its ciphertext for OpenDataKey.
func (c Client) GenerateDataKeyWithoutPlaintext(ctx context.Context, key string, size int, ec EncryptionContext) ([]byte, error) {
	if c.vault == nil {
		return nil, wrap(OpGenerateDataKey, key, ErrDenied)
	}
	plain, err := c.dataKeyBuffer(size)
	if err != nil {
		return nil, wrap(OpGenerateDataKey, key, err)
	}
	defer plain.Free()
	ct, _, err := c.newDataKey(ctx, key, plain, ec)
	return ct, err
}

func (c Client) dataKeyBuffer(size int) (*lockedmem.Buffer, error) {
	if err := errors.Join(checkRandomSize(size), excludedSize(c.vault.cfg.Edition, size)); err != nil {
		return nil, err
	}
	return c.vault.arena.Alloc(size)
}

// newDataKey fills plain and encrypts it under the CMK.
func (c Client) newDataKey(ctx context.Context, key string, plain *lockedmem.Buffer, ec EncryptionContext) (ct []byte, id string, err error) {
	canonical, err := ciphertext.CanonicalContext(ec)
	if err != nil {
		return nil, "", wrap(OpGenerateDataKey, key, err)
	}
	q := request{op: OpGenerateDataKey, key: key, context: ec}
	err = c.onKey(ctx, q, func(ctx context.Context, t *target, e *entry) (err error) {
		c.vault.hedge.fill(plain.Bytes(), canonical)
		id = t.ID
		ct, err = c.vault.seal(ctx, t, canonical, plain.Bytes())
		e.rec.OutputSize = uint64(len(plain.Bytes()))
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return ct, id, nil
}

// OpenDataKey decrypts a data key's ciphertext, given the same context.
func (c Client) OpenDataKey(ctx context.Context, ct []byte, ec EncryptionContext) (*DataKey, error) {
	if len(ct) <= Overhead || len(ct) > Overhead+MaxRandom {
		return nil, wrap(OpOpenDataKey, "", ErrCiphertext)
	}
	if c.vault == nil {
		return nil, wrap(OpOpenDataKey, "", ErrDenied)
	}
	plain, err := c.vault.arena.Alloc(len(ct) - Overhead)
	if err != nil {
		return nil, wrap(OpOpenDataKey, "", err)
	}
	var id string
	err = c.open(ctx, OpOpenDataKey, ct, ec, func(ctx context.Context, canonical []byte, h ciphertext.Header) (int, error) {
		id = formatKeyID(h.KeyID)
		got, err := c.vault.unseal(ctx, h, ct, canonical, plain.Bytes()[:0])
		return len(got), err
	})
	if err != nil {
		plain.Free()
		return nil, err
	}
	return c.vault.rest.admit(id, append([]byte(nil), ct...), plain, c.vault.suite), nil
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
		return &Error{Op: "UseDataKey", Key: k.key, Err: err}
	}
	defer k.giveBack()
	return f(b)
}

// AEAD returns a cipher over the key: AES-256-GCM, or SM4-GCM in the SM edition.
// Its NonceSize is 0: Seal makes a random nonce and puts it in front; pass a nil
// nonce. It lives until Destroy; later use panics. The key must be 32 bytes (SM:
// 16), else ErrUnsupported. One key is good for 2^32 calls of Seal.
func (k *DataKey) AEAD() (cipher.AEAD, error) {
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

// Destroy waits for running calls and wipes the key. Twice is fine.
func (k *DataKey) Destroy() {
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

// String and the other forms show that there is a key, and never the key.
func (k *DataKey) String() string               { return "vault.DataKey(redacted)" }
func (k *DataKey) Format(f fmt.State, _ rune)   { io.WriteString(f, k.String()) }
func (k *DataKey) LogValue() slog.Value         { return slog.StringValue(k.String()) }
func (k *DataKey) MarshalJSON() ([]byte, error) { return []byte(`"vault.DataKey(redacted)"`), nil }
