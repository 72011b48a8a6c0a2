//go:build cgo && unix

package pkcs11

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"

	"strongroom.example/driver"
)

const (
	ivSize  = 12
	tagSize = 16
)

// maxSealings is how often a key seals in the life of a process. SP 800-38D, 8.3,
// allows 2^32 with random ivs in the life of the key; counting over restarts is left
// to who opens the key.
const maxSealings = 1 << 31

// An aeadKey is AES-256-GCM in the token (SP 800-38D). What Seal returns is an iv of
// 12 bytes, ciphertext and tag. The iv is random: from the operating system, or from
// the token where its profile says that it insists.
type aeadKey struct {
	*handle
	left *atomic.Int64
}

var _ driver.AEAD = (*aeadKey)(nil)

var errSealings = errors.New("the key has sealed as often as is safe: use another")

// Seal appends iv, ciphertext and tag to dst. More than the token takes in one call
// (64 KiB, less by some profiles) is Invalid.
func (k *aeadKey) Seal(ctx context.Context, dst, plaintext, aad []byte) ([]byte, error) {
	const op = "Seal"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if len(plaintext) > k.driver.profile.payload || len(aad) > k.driver.profile.payload {
		return nil, fault(op, driver.Invalid, errLength)
	}
	if k.left.Add(-1) < 0 {
		return nil, fault(op, driver.Invalid, errSealings)
	}
	return appendInto(dst, ivSize+len(plaintext)+tagSize, func(out []byte) (n int, err error) {
		err = k.driver.run(ctx, func(s session) (err error) {
			n, err = k.object.seal(s, k.driver.profile.deviceIV, sealing{out, plaintext, aad})
			return err
		})
		return n, err
	})
}

// Open appends the plaintext to dst.
func (k *aeadKey) Open(ctx context.Context, dst, ciphertext, aad []byte) ([]byte, error) {
	const op = "Open"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	n := len(ciphertext) - ivSize - tagSize
	if n < 0 || n > k.driver.profile.payload || len(aad) > k.driver.profile.payload {
		return nil, fault("C_Decrypt", driver.Authentic, errCiphertext)
	}
	// Some tokens want room for the tag as well.
	return appendInto(dst, n+tagSize, func(out []byte) (n int, err error) {
		err = k.driver.run(ctx, func(s session) (err error) {
			n, err = k.object.open(s, sealing{ciphertext, out, aad})
			return err
		})
		return n, err
	})
}

// A sealing is a sealed text with its plaintext, one of which is to be filled.
type sealing struct{ sealed, plaintext, aad []byte }

// seal fills sealed, and has room for all of it.
func (o *object) seal(s session, deviceIV bool, x sealing) (int, error) {
	key, err := o.handle(s)
	if err != nil {
		return 0, err
	}
	var iv [ivSize]byte
	if !deviceIV {
		rand.Read(iv[:])
	}
	a := call{op: opEncrypt, session: uint(s.handle), key: uint(key), in: x.plaintext, out: x.sealed[ivSize:]}
	n, err := s.mod.gcm(&a, &iv, x.aad)
	if err != nil {
		return 0, o.note(err)
	}
	if n != len(x.plaintext)+tagSize || iv == [ivSize]byte{} {
		return 0, fault("C_Encrypt", driver.Unknown, errResult)
	}
	copy(x.sealed, iv[:])
	return ivSize + n, nil
}

// open fills plaintext, and returns how much of it is used.
func (o *object) open(s session, x sealing) (int, error) {
	key, err := o.handle(s)
	if err != nil {
		return 0, err
	}
	iv := [ivSize]byte(x.sealed)
	a := call{op: opDecrypt, session: uint(s.handle), key: uint(key), in: x.sealed[ivSize:], out: x.plaintext}
	n, err := s.mod.gcm(&a, &iv, x.aad)
	if err == nil && n != len(x.sealed)-ivSize-tagSize {
		return 0, fault("C_Decrypt", driver.Unknown, errResult)
	}
	return n, o.note(err)
}

var errResult = errors.New("the token's result has a wrong length")

// sealings counts how often each key may still seal, for all its handles together.
type sealings struct {
	mu   sync.Mutex
	left map[driver.MaterialID]*atomic.Int64
}

func (c *sealings) of(id driver.MaterialID) *atomic.Int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == nil {
		c.left = make(map[driver.MaterialID]*atomic.Int64)
	}
	if c.left[id] == nil {
		c.left[id] = new(atomic.Int64)
		c.left[id].Store(maxSealings)
	}
	return c.left[id]
}
