package vault

import (
	"context"
	"errors"
	"slices"
)

// GenerateDataKey makes a data key of size bytes, encrypted under the CMK and bound to the
// context. size is DataKeyDefault, DataKey128, DataKey256, or any number from 1 to
// MaxRandom; in the FIPS edition at least 14. The caller destroys the data key. Errors:
// those of Encrypt; ErrInvalid or ErrTooLarge for the size; ErrUnsupported for a size that
// the edition does not allow; ErrLockedMemory.
func (c Client) GenerateDataKey(ctx context.Context, key string, size int, ec EncryptionContext) (*DataKey, error) {
	return c.newDataKey(ctx, request{op: OpGenerateDataKey, key: key}, size, ec)
}

// GenerateDataKeyWithoutPlaintext makes a data key and returns only its ciphertext, for
// OpenDataKey. It is an operation of its own, so that a principal can be allowed to make
// data keys and not to read them. Errors: those of GenerateDataKey.
func (c Client) GenerateDataKeyWithoutPlaintext(ctx context.Context, key string, size int, ec EncryptionContext) ([]byte, error) {
	k, err := c.newDataKey(ctx, request{op: OpGenerateDataKeyWithoutPlaintext, key: key}, size, ec)
	if err != nil {
		return nil, err
	}
	defer k.Destroy()
	return k.ciphertext, nil
}

// newDataKey makes a data key. The record has the size of what the caller receives.
func (c Client) newDataKey(ctx context.Context, q request, size int, ec EncryptionContext) (_ *DataKey, err error) {
	if size == DataKeyDefault && c.vault != nil {
		size = c.vault.suite.KeySize()
	}
	q.context, err = ec.snapshot()
	if err = errors.Join(checkRandomSize(size), err); err != nil {
		return nil, c.reject(ctx, q, err)
	}
	var k *DataKey
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
		if q.op == OpGenerateDataKeyWithoutPlaintext {
			e.rec.OutputSize = uint64(size + Overhead)
		}
		return k.Use(func(plain []byte) (err error) {
			v.hedge.fill(plain, q.context.canonical)
			k.ciphertext, err = v.seal(ctx, t, q.context.canonical, plain)
			return err
		})
	})
	if err != nil {
		k.Destroy()
		return nil, err
	}
	return k, nil
}

// OpenDataKey decrypts a data key's ciphertext, given the same context. The caller destroys
// the data key. OpenDataKey accepts every ciphertext of the CMK with 1 to MaxRandom bytes
// of plaintext, so its permission is equivalent to that of Decrypt. Errors: those of
// Decrypt; ErrUnsupported for a size that the edition does not allow; ErrLockedMemory.
func (c Client) OpenDataKey(ctx context.Context, ct []byte, ec EncryptionContext) (*DataKey, error) {
	if n := len(ct) - Overhead; n < 1 || n > MaxRandom {
		return nil, c.reject(ctx, request{op: OpOpenDataKey}, ErrCiphertext)
	}
	ct = slices.Clone(ct) // the data key keeps it
	var k *DataKey
	err := c.open(ctx, OpOpenDataKey, ct, ec, func(ctx context.Context, m message) (n int, err error) {
		if err := excludedSize(c.vault.cfg.Edition, len(ct)-Overhead); err != nil {
			return 0, err
		}
		k.Destroy()
		k, n, err = c.vault.unsealed(ctx, m)
		return n, err
	})
	if err != nil {
		k.Destroy()
		return nil, err
	}
	k.ciphertext = ct
	return k, nil
}

// unsealed decrypts m into a data key of at least one byte, and returns the length of the
// plaintext. The caller destroys k if it is not nil.
func (v *Vault) unsealed(ctx context.Context, m message) (k *DataKey, n int, err error) {
	if k, err = v.rest.admit(m.keyID(), max(1, len(m.bytes)-Overhead), v.suite); err != nil {
		return nil, 0, err
	}
	err = k.Use(func(plain []byte) error {
		got, err := v.unseal(ctx, m, plain[:0])
		n = len(got)
		return err
	})
	return k, n, err
}
