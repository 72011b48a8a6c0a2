//go:build cgo && unix

package pkcs11

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

const (
	ivSize  = 12
	tagSize = 16
)

// An aeadKey is AES-256-GCM in the token (SP 800-38D). What Seal returns is an iv of
// 12 bytes, ciphertext and tag. The iv is random: from the operating system, or from
// the token where its profile says that it insists.
type aeadKey struct {
	*handle
	budget *budget
}

var _ driver.AEAD = (*aeadKey)(nil)

// Seal appends iv, ciphertext and tag to dst. More than the token takes in one call
// (64 KiB, less by some profiles) is Invalid.
//
// A key seals 2^32 - 2^26 texts in its life, in all processes and over restarts, and is
// Invalid after that. The driver reserves them in the token in steps of 2^16 to 2^26: now
// and then a call, the first among them, makes a small object there. A process that may
// not do so has 2^26 of its own. Not counted is what other programs than this driver seal
// with the key, and where an older copy of the token is put back, so is the count.
func (k *aeadKey) Seal(ctx context.Context, dst, plaintext, aad []byte) ([]byte, error) {
	if !hasDeadline(ctx) {
		return k.seal(ctx, dst, plaintext, aad)
	}
	in, more := slices.Clone(plaintext), slices.Clone(aad)
	return boundedAppend(ctx, dst, func() ([]byte, error) {
		defer suite.Wipe(in)
		return k.seal(ctx, nil, in, more)
	})
}

func (k *aeadKey) seal(ctx context.Context, dst, plaintext, aad []byte) ([]byte, error) {
	const op = "Seal"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if len(plaintext) > k.driver.profile.payload || len(aad) > k.driver.profile.payload {
		return nil, fault(op, driver.Invalid, errLength)
	}
	if err := k.count(ctx); err != nil {
		return nil, err
	}
	return appendInto(dst, ivSize+len(plaintext)+tagSize, func(out []byte) (n int, err error) {
		err = k.driver.run(ctx, func(s session) (err error) {
			n, err = k.object.seal(s, sealing{out, plaintext, aad})
			return err
		})
		return n, err
	})
}

// count takes one sealing from the budget.
func (k *aeadKey) count(ctx context.Context) error {
	for !k.budget.take() {
		err := k.budget.refill(ctx, func(n int64) error { return k.driver.reserve(ctx, k.object.id, n) })
		if err != nil {
			return err
		}
	}
	return nil
}

// Open appends the plaintext to dst.
func (k *aeadKey) Open(ctx context.Context, dst, ciphertext, aad []byte) ([]byte, error) {
	if !hasDeadline(ctx) {
		return k.open(ctx, dst, ciphertext, aad)
	}
	in, more := slices.Clone(ciphertext), slices.Clone(aad)
	return boundedAppend(ctx, dst, func() ([]byte, error) { return k.open(ctx, nil, in, more) })
}

func (k *aeadKey) open(ctx context.Context, dst, ciphertext, aad []byte) ([]byte, error) {
	const op = "Open"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	n := len(ciphertext) - ivSize - tagSize
	if n < 0 || n > k.driver.profile.payload || len(aad) > k.driver.profile.payload {
		return nil, fault("C_Decrypt", driver.Authentic, errCiphertext)
	}
	// Some tokens want room for the tag as well, and some for more.
	return appendInto(dst, n+tagSize, func(out []byte) (n int, err error) {
		small := false
		err = k.driver.run(ctx, func(s session) (err error) {
			if small {
				n, err = k.object.openRoomy(s, sealing{ciphertext, out, aad})
				return err
			}
			n, err = k.object.open(s, sealing{ciphertext, out, aad})
			small = codeOf(err) == p11.CKR_BUFFER_TOO_SMALL
			return err
		})
		return n, err
	})
}

// A sealing is a sealed text with its plaintext, one of which is to be filled.
type sealing struct{ sealed, plaintext, aad []byte }

// seal fills sealed, and has room for all of it.
func (o *object) seal(s session, x sealing) (int, error) {
	key, err := o.handle(s)
	if err != nil {
		return 0, err
	}
	var iv [ivSize]byte
	if !o.deviceIV {
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

// openRoomy is open by way of a larger buffer.
func (o *object) openRoomy(s session, x sealing) (int, error) {
	out := x.plaintext
	x.plaintext = make([]byte, len(out)+4*tagSize)
	defer suite.Wipe(x.plaintext)
	n, err := o.open(s, x)
	return copy(out, x.plaintext[:n]), err
}

var errResult = errors.New("the token's result has a wrong length")
