package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// ReEncrypt decrypts ct and encrypts its plaintext under key, without releasing
// it; an empty key means the CMK that ct names, and brings it to the primary
// version. from and to are the encryption contexts before and after.
//
// It is authorized as ReEncryptFrom on the one CMK and as ReEncryptTo on the other, before
// either is used, and leaves a record for each in one commit. The commit fails unless
// both CMKs still are as they were and both permissions still hold. Errors: those of
// Decrypt for ct and from, those of Encrypt for key and to.
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

// reEncryption is one ReEncrypt on its way.
type reEncryption struct {
	c     Client
	from  message
	to    request
	plain *DataKey
	out   []byte
}

// run decides on the second CMK and uses both. onKey has decided on the first one.
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

// asCiphertext gives ErrCiphertext in place of an error that would tell which keys there
// are to a caller who made up a ciphertext.
func asCiphertext(op Operation, err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUsage) {
		return wrap(op, "", fmt.Errorf("%w: it names no key of this vault", ErrCiphertext))
	}
	return err
}
