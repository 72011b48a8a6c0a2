package vault

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"

	"strongroom.example/driver/soft"
	"strongroom.example/internal/redact"
	"strongroom.example/internal/suite"
	"strongroom.example/vault/internal/editionrules"
	"strongroom.example/vault/internal/memorykey"
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
	suite      suite.ID
	held       *memorykey.Key
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
	var own error // of f, which is returned as it is
	err := k.held.Use(func(key []byte) error {
		own = f(key)
		return own
	})
	if own != nil {
		return own
	}
	return wrap("UseDataKey", k.key, err)
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
	if k == nil || k.held == nil {
		return nil, wrap("AEAD", "", ErrClosed)
	}
	if sizes := k.suite.DataKeySizes(); !slices.Contains(sizes, k.size) {
		return nil, &Error{Op: "AEAD", Key: k.key, Err: fmt.Errorf("%w: the key has %d bytes, the cipher of this edition takes %v; make the data key with DataKeyDefault, or use package stream, which takes longer keys", ErrUnsupported, k.size, sizes)}
	}
	if err := k.held.Pin(); err != nil {
		return nil, wrap("UseDataKey", k.key, err)
	}
	return dataKeyAEAD{k}, nil
}

// Destroy waits for running calls and wipes the key. It may be called twice, and on nil. A
// function that Use runs must not call it.
func (k *DataKey) Destroy() {
	if k == nil || k.held == nil {
		return
	}
	k.held.Destroy()
}

// dataKeyAEAD is the cipher.AEAD of a data key.
type dataKeyAEAD struct{ key *DataKey }

var _ cipher.AEAD = dataKeyAEAD{}

// NonceSize returns 0, because Seal makes the nonce and puts it in front of its output.
func (dataKeyAEAD) NonceSize() int { return 0 }

// Overhead returns the length of nonce and tag.
func (dataKeyAEAD) Overhead() int { return suite.Overhead }

// Seal panics if the data key was destroyed or if a nonce is given, because cipher.AEAD has
// no error result here. It does not fail otherwise.
func (c dataKeyAEAD) Seal(dst, nonce, plaintext, additionalData []byte) []byte {
	checkNonce(nonce)
	a, err := c.key.held.Cipher()
	if err != nil {
		panic("strongroom: use of a destroyed data key")
	}
	defer c.key.held.Release()
	out, err := a.Seal(dst, plaintext, additionalData)
	if err != nil {
		panic("strongroom: the data key's cipher does not seal") // cannot happen: randomness and the sizes do not fail
	}
	return out
}

// Open returns ErrClosed if the data key was destroyed, and ErrCiphertext for every fault
// of the ciphertext. It panics if a nonce is given.
func (c dataKeyAEAD) Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error) {
	checkNonce(nonce)
	a, err := c.key.held.Cipher()
	if err != nil {
		return nil, wrap("OpenData", c.key.key, err)
	}
	defer c.key.held.Release()
	out, err := a.Open(dst, ciphertext, additionalData)
	if err != nil {
		return nil, &Error{Op: "OpenData", Key: c.key.key, Err: ErrCiphertext}
	}
	return out, nil
}

func checkNonce(nonce []byte) {
	if len(nonce) != 0 {
		panic("strongroom: the nonce of a data key's cipher must be empty")
	}
}

// GenerateDataKey makes a data key of size bytes, encrypted under the CMK and bound to the
// context. size is DataKeyDefault, DataKey128, DataKey256, or any number from 1 to
// MaxRandom; in the FIPS edition at least 14. The caller destroys the data key. Errors:
// those of Encrypt; ErrInvalid or ErrTooLarge for the size; ErrUnsupported for a size that
// the edition does not allow; ErrLockedMemory.
func (c Client) GenerateDataKey(ctx context.Context, key string, size int, ec EncryptionContext) (*DataKey, error) {
	return c.newDataKey(ctx, request{op: OpGenerateDataKey, key: key}, size, ec, nil)
}

// GenerateDataKeyWithoutPlaintext makes a data key and returns only its ciphertext, for
// OpenDataKey. It is an operation of its own, so that a principal can be allowed to make
// data keys and not to read them. Errors: those of GenerateDataKey.
func (c Client) GenerateDataKeyWithoutPlaintext(ctx context.Context, key string, size int, ec EncryptionContext) ([]byte, error) {
	k, err := c.newDataKey(ctx, request{op: OpGenerateDataKeyWithoutPlaintext, key: key}, size, ec, nil)
	if err != nil {
		return nil, err
	}
	defer k.Destroy()
	return k.ciphertext, nil
}

// newDataKey makes a data key. The record has the size of what the caller receives. use, if it
// is set, uses the data key before it is released.
func (c Client) newDataKey(ctx context.Context, q request, size int, ec EncryptionContext, use func(*decision, *DataKey) error) (_ *DataKey, err error) {
	if size == DataKeyDefault && c.vault != nil {
		size = c.vault.suite.KeySize()
	}
	q.context, err = ec.snapshot()
	if err = errors.Join(checkRandomSize(size), err); err != nil {
		return nil, c.argumentError(ctx, q, err)
	}
	return useKey(ctx, c, q, func(ctx context.Context, d *decision) (*DataKey, error) {
		v := c.vault
		if err := editionrules.ExcludedSize(v.cfg.Edition, size); err != nil {
			return nil, err
		}
		k, err := v.makeDataKey(d.t.ID, size)
		if err != nil {
			return nil, err
		}
		d.rec.Algorithm, d.rec.OutputSize = v.suite.String(), uint64(size)
		if q.op == OpGenerateDataKeyWithoutPlaintext {
			d.rec.OutputSize = uint64(size + Overhead)
		}
		err = k.Use(func(plain []byte) (err error) {
			v.entropy.Fill(plain, q.context.canonical)
			k.ciphertext, err = v.encryptMessage(ctx, d.t, q.context.canonical, plain)
			return err
		})
		if err == nil && use != nil {
			err = use(d, k)
		}
		return k, err
	}, (*DataKey).Destroy)
}

// makeDataKey makes a DataKey of size zero bytes under a CMK. The caller sets them with Use.
func (v *Vault) makeDataKey(id string, size int) (*DataKey, error) {
	held, err := v.dataKeys.NewKey(size, v.suite)
	if err != nil {
		return nil, err
	}
	return &DataKey{key: id, size: size, suite: v.suite, held: held}, nil
}

// OpenDataKey decrypts a data key's ciphertext, given the same context. The caller destroys
// the data key. OpenDataKey accepts every ciphertext of the CMK with 1 to MaxRandom bytes
// of plaintext, so its permission is equivalent to that of Decrypt. Errors: those of
// Decrypt; ErrUnsupported for a size that the edition does not allow; ErrLockedMemory.
func (c Client) OpenDataKey(ctx context.Context, ct []byte, ec EncryptionContext) (*DataKey, error) {
	if n := len(ct) - Overhead; n < 1 || n > MaxRandom {
		return nil, c.argumentError(ctx, request{op: OpOpenDataKey}, ErrCiphertext)
	}
	ct = slices.Clone(ct) // the data key keeps it
	return openCiphertext(ctx, c, request{op: OpOpenDataKey}, ct, ec, func(ctx context.Context, d *decision, m message) (*DataKey, error) {
		if err := editionrules.ExcludedSize(c.vault.cfg.Edition, len(ct)-Overhead); err != nil {
			return nil, err
		}
		k, n, err := c.vault.decryptToDataKey(ctx, m)
		d.rec.OutputSize = uint64(n)
		if err == nil {
			k.ciphertext = ct
		}
		return k, err
	}, (*DataKey).Destroy)
}

// decryptToDataKey decrypts m into a data key of at least one byte, and returns the length
// of the plaintext. The caller destroys k if it is not nil.
func (v *Vault) decryptToDataKey(ctx context.Context, m message) (k *DataKey, n int, err error) {
	if k, err = v.makeDataKey(m.keyID(), max(1, len(m.bytes)-Overhead)); err != nil {
		return nil, 0, err
	}
	err = k.Use(func(plain []byte) error {
		got, err := v.decryptMessage(ctx, m, plain[:0])
		n = len(got)
		return err
	})
	return k, n, err
}

// MaxRandom is the maximum length of GenerateRandom's result and of a data key, in bytes.
const MaxRandom = 1024

// GenerateRandom returns n random bytes, 1 to MaxRandom, from the operating system's
// generator mixed with the vault's own key. The caller wipes them. Errors: ErrInvalid,
// ErrTooLarge.
func (c Client) GenerateRandom(ctx context.Context, n int) ([]byte, error) {
	if err := checkRandomSize(n); err != nil {
		return nil, c.argumentError(ctx, request{op: OpGenerateRandom}, err)
	}
	return useVault(ctx, c, request{op: OpGenerateRandom}, func(_ context.Context, d *decision) ([]byte, error) {
		out := make([]byte, n)
		c.vault.entropy.Fill(out)
		d.rec.OutputSize = uint64(n)
		return out, nil
	}, suite.Wipe)
}

func checkRandomSize(n int) error {
	if n < 1 {
		return invalid("%d bytes, the minimum is 1", n)
	}
	if n > MaxRandom {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, n, MaxRandom)
	}
	return nil
}

// redacted makes a struct that embeds it print redacted.
type redacted = redact.Secret

// A DataKeyPair is an asymmetric key pair for the caller's own use. The vault stores nothing of
// it: the caller stores PublicKey and Ciphertext, and Decrypt returns the private key again. It
// prints redacted.
type DataKeyPair struct {
	redacted
	// Spec is RSA2048, RSA3072, RSA4096, ECCP256, ECCP384, ECCP521, Ed25519 or SM2.
	Spec KeySpec
	// PublicKey is X.509 SubjectPublicKeyInfo in DER.
	PublicKey []byte
	// PrivateKey is PKCS #8 in DER. The caller wipes it. It is nil from
	// GenerateDataKeyPairWithoutPlaintext.
	PrivateKey []byte
	// Ciphertext is PrivateKey, encrypted under the CMK and bound to the context, for Decrypt.
	Ciphertext []byte
}

// GenerateDataKeyPair makes a key pair of a spec, whose private key is encrypted under the CMK
// and bound to the context. The software engine makes the pair; RSA4096 takes seconds. Errors:
// those of Encrypt; ErrInvalid for a spec that is not of a pair; ErrUnsupported for a spec that
// the edition does not allow.
func (c Client) GenerateDataKeyPair(ctx context.Context, key string, spec KeySpec, ec EncryptionContext) (DataKeyPair, error) {
	return c.newDataKeyPair(ctx, request{op: OpGenerateDataKeyPair, key: key}, spec, ec)
}

// GenerateDataKeyPairWithoutPlaintext is like GenerateDataKeyPair, and does not return the
// private key. It is an operation of its own, so that a principal can be allowed to make pairs
// and not to use them.
func (c Client) GenerateDataKeyPairWithoutPlaintext(ctx context.Context, key string, spec KeySpec, ec EncryptionContext) (DataKeyPair, error) {
	return c.newDataKeyPair(ctx, request{op: OpGenerateDataKeyPairWithoutPlaintext, key: key}, spec, ec)
}

// newDataKeyPair makes a key pair. The record has the size of what the caller receives of the
// private key.
func (c Client) newDataKeyPair(ctx context.Context, q request, spec KeySpec, ec EncryptionContext) (_ DataKeyPair, err error) {
	q.context, err = ec.snapshot()
	if err != nil {
		return DataKeyPair{}, c.argumentError(ctx, q, err)
	}
	row, err := pairSpec(spec)
	if err != nil {
		return DataKeyPair{}, c.argumentError(ctx, q, err)
	}
	return useKey(ctx, c, q, func(ctx context.Context, d *decision) (p DataKeyPair, err error) {
		if err := editionrules.Excluded(c.vault.cfg.Edition, spec); err != nil {
			return p, err
		}
		p.Spec = spec
		p.PrivateKey, p.PublicKey, err = soft.GeneratePair(row.alg)
		if err != nil {
			return p, err
		}
		d.rec.Algorithm, d.rec.OutputSize = c.vault.suite.String(), uint64(len(p.PrivateKey))
		d.note("pair_spec", string(spec))
		p.Ciphertext, err = c.vault.encryptMessage(ctx, d.t, q.context.canonical, p.PrivateKey)
		if q.op == OpGenerateDataKeyPairWithoutPlaintext {
			p.wipe()
			d.rec.OutputSize = uint64(len(p.Ciphertext))
		}
		return p, err
	}, func(p DataKeyPair) { p.wipe() })
}

// wipe wipes and forgets the private key.
func (p *DataKeyPair) wipe() {
	suite.Wipe(p.PrivateKey)
	p.PrivateKey = nil
}

// pairSpec returns the row of a spec of asymmetric keys.
func pairSpec(spec KeySpec) (specRow, error) {
	for _, r := range specTable {
		if r.spec == spec && (r.usage == SignVerify || r.usage == AsymmetricDecrypt) {
			return r, nil
		}
	}
	return specRow{}, fmt.Errorf("%w: %.80q is not the spec of a key pair", ErrInvalid, spec)
}
