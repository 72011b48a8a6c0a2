package vault

import (
	"context"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/internal/ciphertext"
	"strongroom.example/internal/suite"
)

// MaxPlaintext is the maximum length of Encrypt's plaintext in bytes. Encrypt larger data
// under a data key.
const MaxPlaintext = ciphertext.MaxPlaintext

// Overhead is the difference in bytes between the lengths of a ciphertext and its
// plaintext.
const Overhead = ciphertext.Overhead

// Encrypt encrypts plaintext (0 to MaxPlaintext bytes) under the CMK's primary version and
// binds it to the encryption context. The ciphertext names the CMK and its version. Errors:
// ErrTooLarge; ErrNotFound; ErrDenied; ErrKeyState; ErrInvalid or ErrTooLarge for an
// invalid context (see EncryptionContext).
func (c Client) Encrypt(ctx context.Context, key string, plaintext []byte, ec EncryptionContext) ([]byte, error) {
	if len(plaintext) > MaxPlaintext {
		return nil, c.reject(ctx, request{op: OpEncrypt, key: key}, fmt.Errorf("%w: plaintext has %d bytes, the limit is %d; use a data key", ErrTooLarge, len(plaintext), MaxPlaintext))
	}
	bound, err := ec.snapshot()
	if err != nil {
		return nil, c.reject(ctx, request{op: OpEncrypt, key: key}, err)
	}
	plain := c.vault.own(plaintext)
	defer plain.release()
	var out []byte
	q := request{op: OpEncrypt, key: key, context: bound, size: len(plaintext)}
	err = c.onKey(ctx, q, func(ctx context.Context, t *target, e *entry) (err error) {
		e.rec.Algorithm = c.vault.suite.String()
		out, err = c.vault.seal(ctx, t, bound.canonical, plain.bytes)
		e.rec.OutputSize = uint64(len(out))
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Decrypt decrypts a ciphertext of Encrypt, ReEncrypt or GenerateDataKey, given the same
// encryption context. The caller wipes the plaintext. Errors: ErrCiphertext for every fault
// of the ciphertext and for a different context; ErrInvalid and ErrTooLarge for an invalid
// context; ErrDenied; ErrKeyState.
func (c Client) Decrypt(ctx context.Context, ct []byte, ec EncryptionContext) ([]byte, error) {
	return c.DecryptTo(ctx, nil, ct, ec)
}

// DecryptTo is like Decrypt, and appends the plaintext to dst, which may be ct[:0]. It
// writes to dst once the audit record is durable, and leaves dst unchanged after an error.
// The caller wipes the plaintext.
func (c Client) DecryptTo(ctx context.Context, dst, ct []byte, ec EncryptionContext) ([]byte, error) {
	own, plain := c.vault.own(ct[:min(len(ct), inputSize+1)]), c.vault.own(nil)
	defer own.release()
	defer plain.release()
	err := c.open(ctx, OpDecrypt, own.bytes, ec, func(ctx context.Context, m message) (n int, err error) {
		plain.bytes, err = c.vault.unseal(ctx, m, plain.bytes[:0])
		return len(plain.bytes), err
	})
	if err != nil {
		return nil, err
	}
	return append(dst, plain.bytes...), nil
}

// open runs an operation on the CMK that a ciphertext names. ct must not change while it
// runs. act returns the length of the plaintext.
func (c Client) open(ctx context.Context, op Operation, ct []byte, ec EncryptionContext, act func(context.Context, message) (int, error)) error {
	m, err := readMessage(ct, ec)
	if err != nil {
		return c.reject(ctx, request{op: op}, err)
	}
	q := request{op: op, key: m.keyID(), version: m.header.Version, context: m.context, size: len(ct)}
	err = c.onKey(ctx, q, func(ctx context.Context, t *target, e *entry) error {
		e.rec.Algorithm = c.vault.suite.String()
		n, err := act(ctx, m)
		e.rec.OutputSize = uint64(max(n, 0))
		return err
	})
	return asCiphertext(op, err)
}

// seal encrypts under the primary version of a CMK.
func (v *Vault) seal(ctx context.Context, t *target, canonical, plaintext []byte) ([]byte, error) {
	ver, err := v.keys.version(ctx, t.ID, t.Version)
	if err != nil {
		return nil, err
	}
	id, ok := parseKeyID(t.ID)
	if !ok {
		return nil, fmt.Errorf("%w: key id %q", ErrCorrupt, t.ID)
	}
	h := ciphertext.Header{Suite: messageSuite(ver), KeyID: id, Version: t.Version}
	v.hedge.fill(h.Salt[:], plaintext, canonical)
	var space [suite.HashSize]byte
	defer suite.Wipe(space[:])
	root, err := v.prf(ctx, ver, space[:0], h.PRFInput(canonical))
	if err != nil {
		return nil, err
	}
	return ciphertext.Seal(h, canonical, root, plaintext)
}

// unseal decrypts m and appends the plaintext to dst. It returns ErrCiphertext for a
// version that the CMK never had.
func (v *Vault) unseal(ctx context.Context, m message, dst []byte) ([]byte, error) {
	t, err := v.keys.key(ctx, m.keyID())
	if err != nil {
		return nil, err
	}
	if m.header.Version > t.Version {
		return nil, ErrCiphertext
	}
	ver, err := v.keys.version(ctx, t.ID, m.header.Version)
	if err != nil {
		return nil, err
	}
	if messageSuite(ver) != m.header.Suite {
		return nil, ErrCiphertext
	}
	var space [suite.HashSize]byte
	defer suite.Wipe(space[:])
	root, err := v.prf(ctx, ver, space[:0], m.header.PRFInput(m.context.canonical))
	if err != nil {
		return nil, err
	}
	return ciphertext.Open(dst, m.bytes, m.context.canonical, root)
}

// messageSuite returns the suite of messages under a key version.
func messageSuite(ver version) suite.ID {
	if ver.Algorithm == driver.HMACSM3 {
		return suite.SM
	}
	return suite.AES
}
