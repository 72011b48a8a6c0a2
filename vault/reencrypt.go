package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// ReEncrypt decrypts ct and encrypts the plaintext under the primary version of key,
// without releasing the plaintext. An empty key means the CMK that ct names. from and to
// are the encryption contexts before and after.
//
// ReEncrypt is authorized as ReEncryptFrom on the first CMK and as ReEncryptTo on the
// second, before either is used, and writes a record for each in one commit. The commit
// fails unless both CMKs are unchanged and both permissions are still valid. Errors: those
// of Decrypt for ct and from, those of Encrypt for key and to.
func (c Client) ReEncrypt(ctx context.Context, ct []byte, key string, from, to EncryptionContext) ([]byte, error) {
	bound, err := to.snapshot()
	if err != nil {
		return nil, c.reject(ctx, request{op: OpReEncryptTo, key: key}, err)
	}
	r := &reEncryption{c: c, to: request{op: OpReEncryptTo, key: key, context: bound}}
	defer func() { r.plain.Destroy() }()
	own := c.vault.own(ct[:min(len(ct), inputSize+1)])
	defer own.release()
	m, err := readMessage(own.bytes, from)
	if err != nil {
		return nil, c.reject(ctx, request{op: OpReEncryptFrom}, err)
	}
	r.from, r.to.key = m, cmp.Or(key, m.keyID())
	q := request{op: OpReEncryptFrom, key: m.keyID(), version: m.header.Version, context: m.context, size: len(m.bytes)}
	err = c.onKey(ctx, q, r.run)
	var mine *Error
	if errors.As(err, &mine) && mine.Op == OpReEncryptFrom {
		err = asCiphertext(OpReEncryptFrom, err)
	}
	if err != nil {
		return nil, err
	}
	return r.out, nil
}

// reEncryption is one ReEncrypt in progress.
type reEncryption struct {
	c     Client
	from  message
	to    request
	plain *DataKey
	out   []byte
}

// run decides on the second CMK and uses both. onKey has decided on the first.
func (r *reEncryption) run(ctx context.Context, _ *target, e *entry) error {
	v := r.c.vault
	e.rec.Algorithm, e.askAgain = v.suite.String(), true
	to, err := r.c.join(ctx, e, r.to)
	if err != nil {
		return err
	}
	r.plain.Destroy()
	var n int
	r.plain, n, err = v.unsealed(ctx, r.from)
	e.rec.OutputSize = uint64(n)
	if err != nil {
		return err
	}
	rec := &to.e.rec
	rec.Algorithm, rec.InputSize = v.suite.String(), uint64(n)
	err = r.plain.Use(func(b []byte) (err error) {
		r.out, err = v.seal(ctx, to.t, r.to.context.canonical, b[:n])
		return err
	})
	if err != nil {
		e.settled = true
		return wrap(OpReEncryptTo, to.t.ID, v.fail(ctx, to.t, *rec, err))
	}
	rec.OutputSize = uint64(len(r.out))
	return nil
}

// asCiphertext replaces errors that would reveal which keys exist by ErrCiphertext, because
// a caller can invent a ciphertext.
func asCiphertext(op Operation, err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUsage) {
		return wrap(op, "", fmt.Errorf("%w: it names no key of this vault", ErrCiphertext))
	}
	return err
}
