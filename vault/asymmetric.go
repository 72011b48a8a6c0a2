package vault

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/keyder"
	"strongroom.example/internal/pkcs1"
	"strongroom.example/internal/suite"
	"strongroom.example/vault/internal/editionrules"
	"strongroom.example/vault/internal/inputcopy"
	"strongroom.example/vault/internal/publickey"
)

// PublicKey is the public half of an asymmetric CMK.
type PublicKey struct {
	// Key is the CMK's id.
	Key   string
	Spec  KeySpec
	Usage KeyUsage
	// DER is X.509 SubjectPublicKeyInfo.
	DER []byte
}

// PublicKey returns the public half of an asymmetric CMK. Errors: ErrUsage for a symmetric
// CMK, ErrKeyState, ErrNotFound, ErrDenied.
func (c Client) PublicKey(ctx context.Context, key string) (PublicKey, error) {
	return c.publicKey(ctx, key, "")
}

// publicKey is PublicKey for a CMK of the given usage, or of any if usage is empty.
func (c Client) publicKey(ctx context.Context, key string, usage KeyUsage) (PublicKey, error) {
	return useKey(ctx, c, request{op: OpPublicKey, key: key}, func(ctx context.Context, d *decision) (PublicKey, error) {
		if usage != "" && d.t.Usage != usage {
			return PublicKey{}, fmt.Errorf("%w: %s, not %s", ErrUsage, d.t.Usage, usage)
		}
		ver, err := c.vault.records.version(ctx, d.t.ID, d.t.Version)
		return PublicKey{Key: d.t.ID, Spec: d.t.Spec, Usage: d.t.Usage, DER: slices.Clone(ver.Public)}, err
	}, nil)
}

// PEM returns the key as a PEM block of type PUBLIC KEY.
func (p PublicKey) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: p.DER})
}

// Parse returns the key as *rsa.PublicKey, *ecdsa.PublicKey (for SM2 on the SM2 curve) or
// ed25519.PublicKey.
func (p PublicKey) Parse() (crypto.PublicKey, error) {
	key, err := keyder.ParsePublic(p.DER)
	if err != nil {
		return nil, wrap(OpPublicKey, p.Key, invalid("not a public key: %v", err))
	}
	return key, nil
}

// A Decrypter is a crypto.Decrypter for a CMK of usage AsymmetricDecrypt. Each decryption
// is authorized and recorded as by Client.AsymmetricDecrypt.
type Decrypter struct {
	decrypting func(ciphertext []byte, alg EncryptionAlgorithm) ([]byte, error)
	reject     func(cause error) error // see Client.argumentError
	key        PublicKey
	public     crypto.PublicKey
}

var _ crypto.Decrypter = (*Decrypter)(nil)

// Decrypter returns the CMK as a crypto.Decrypter. Decryptions use the values of ctx
// (request id, reason), but not its deadline. Errors: those of PublicKey, and ErrUsage for
// a key that is not for decryption.
func (c Client) Decrypter(ctx context.Context, key string) (*Decrypter, error) {
	p, public, err := c.public(ctx, key, AsymmetricDecrypt)
	if err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	decrypt := func(ciphertext []byte, alg EncryptionAlgorithm) ([]byte, error) {
		return c.AsymmetricDecrypt(ctx, p.Key, ciphertext, alg)
	}
	reject := func(cause error) error {
		return c.argumentError(ctx, request{op: OpAsymmetricDecrypt, key: p.Key}, cause)
	}
	return &Decrypter{decrypt, reject, p, public}, nil
}

// Public returns the public key, in the type that PublicKey.Parse returns.
func (d *Decrypter) Public() crypto.PublicKey { return d.public }

// Decrypt decrypts a ciphertext; the caller wipes the plaintext. For RSA, opts is
// *rsa.OAEPOptions with SHA-1 or SHA-256 and no label, or *rsa.PKCS1v15DecryptOptions or
// nil for PKCS #1 v1.5. With a SessionKeyLen, a message of another length is replaced by
// random bytes, as in crypto/rsa. For SM2, opts is ignored.
func (d *Decrypter) Decrypt(_ io.Reader, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	if d.decrypting == nil {
		return nil, wrap(OpAsymmetricDecrypt, "", fmt.Errorf("%w: use Client.Decrypter", ErrDenied))
	}
	if d.key.Spec == SM2 {
		return d.decrypting(ciphertext, SM2C1C3C2)
	}
	switch o := opts.(type) {
	case nil:
		return d.decrypting(ciphertext, RSAESPKCS1V15)
	//lint:ignore SA1019 what crypto.Decrypter's callers give; padding faults are never told
	case *rsa.PKCS1v15DecryptOptions:
		message, err := d.decrypting(ciphertext, RSAESPKCS1V15)
		if err != nil || o.SessionKeyLen <= 0 {
			return message, err
		}
		return sessionKey(message, o.SessionKeyLen), nil
	case *rsa.OAEPOptions:
		sameHash := o.MGFHash == 0 || o.MGFHash == o.Hash
		switch {
		case o.Hash == crypto.SHA1 && sameHash && len(o.Label) == 0:
			return d.decrypting(ciphertext, RSAESOAEPSHA1)
		case o.Hash == crypto.SHA256 && sameHash && len(o.Label) == 0:
			return d.decrypting(ciphertext, RSAESOAEPSHA256)
		}
	}
	return nil, d.reject(fmt.Errorf("%w: these options of type %T", ErrUnsupported, opts))
}

// sessionKey returns message if it has n bytes, or n random bytes, and wipes message. It
// does the same work for every length: message has the capacity of a whole block, as
// AsymmetricDecrypt returns it, so that n bytes can be read in any case. If even a block
// has less than n bytes, the difference in work reveals nothing secret.
func sessionKey(message []byte, n int) []byte {
	defer suite.Wipe(message[:cap(message)])
	key := make([]byte, n)
	rand.Read(key)
	if n <= cap(message) {
		fits := subtle.ConstantTimeEq(int32(len(message)), int32(n))
		subtle.ConstantTimeCopy(fits, key, message[:n])
	}
	return key
}

// AsymmetricDecrypt decrypts data that was encrypted to the CMK's public key. An empty alg
// means RSAESOAEPSHA256, or SM2C1C3C2 for SM2. The caller wipes the plaintext. Errors:
// ErrCiphertext for every fault of the ciphertext; ErrTooLarge; ErrInvalid for an algorithm
// that the spec does not have; ErrUsage; ErrKeyState; ErrDenied; ErrUnsupported.
func (c Client) AsymmetricDecrypt(ctx context.Context, key string, ciphertext []byte, alg EncryptionAlgorithm) ([]byte, error) {
	own := c.vault.copyInput(ciphertext[:min(len(ciphertext), inputcopy.Pooled)]) // longer than the ciphertext of any key
	defer own.Release()
	q := request{op: OpAsymmetricDecrypt, key: key, size: len(ciphertext)}
	return useKey(ctx, c, q, func(ctx context.Context, d *decision) ([]byte, error) {
		row, err := chooseDecrypt(d.t.Spec, alg, c.vault.cfg.Edition)
		if err != nil {
			return nil, err
		}
		d.rec.Algorithm = string(row.alg)
		if d.t.Spec == SM2 && len(ciphertext) > MaxSM2Ciphertext {
			return nil, fmt.Errorf("%w: SM2 ciphertext has %d bytes, the limit is %d", ErrTooLarge, len(ciphertext), MaxSM2Ciphertext)
		}
		ver, err := c.vault.records.version(ctx, d.t.ID, d.t.Version)
		if err != nil {
			return nil, err
		}
		if row.alg == RSAESPKCS1V15 {
			// The record omits the size, because it would distinguish good padding from bad.
			return c.vault.decryptPKCS1(ctx, ver, own.Bytes)
		}
		out, err := c.vault.decrypt(ctx, ver, nil, encrypted{row.device, own.Bytes})
		d.rec.OutputSize = uint64(len(out))
		return out, err
	}, suite.Wipe)
}

// encrypted is a ciphertext in the form that drivers accept.
type encrypted struct {
	alg        driver.EncryptAlg
	ciphertext []byte
}

// decrypt decrypts with the driver and appends the plaintext to dst.
func (v *Vault) decrypt(ctx context.Context, ver storedVersion, dst []byte, in encrypted) (out []byte, err error) {
	err = withKey(ctx, v, ver, func(ctx context.Context, key driver.Decrypter) (err error) {
		out, err = key.Decrypt(ctx, dst, in.alg, in.ciphertext)
		if errors.Is(err, driver.Authentic) {
			return ErrCiphertext // the fault is in the caller's bytes; from OpenKey it would be in the vault's blob
		}
		return err
	})
	return out, err
}

// decryptPKCS1 decrypts with the device's raw RSA and removes the padding in the host. It
// does so in constant time and never reports bad padding.
func (v *Vault) decryptPKCS1(ctx context.Context, ver storedVersion, ciphertext []byte) ([]byte, error) {
	block, err := v.arena.Alloc(pkcs1.MaxSize)
	if err != nil {
		return nil, err
	}
	defer block.Free()
	padded, err := v.decrypt(ctx, ver, block.Bytes()[:0], encrypted{driver.RSARaw, ciphertext})
	if err != nil {
		return nil, err
	}
	// The rejection key is derived from the public key, which a move or another import of
	// the same key does not change. Two different results for one ciphertext would reveal
	// that its padding is bad.
	key := suite.NewSecret(suite.HashSize)
	defer suite.Wipe(key)
	v.suite.MACTo(key, v.secrets.Rejection(), ver.Public)
	out, err := pkcs1.Unpad(nil, padded, ciphertext, key)
	if err != nil {
		return nil, ErrCiphertext
	}
	return out, nil
}

// AsymmetricEncrypt encrypts plaintext to the CMK's public key, for AsymmetricDecrypt. Every
// program can do the same with PublicKey; here it is authorized and recorded, and counts as a
// use. An empty alg means RSAESOAEPSHA256, or SM2C1C3C2 for SM2. The plaintext has at most 190,
// 318 or 446 bytes for RSA of 2048, 3072 or 4096 bits (24 more with RSAESOAEPSHA1), and 1 to
// 146 bytes for SM2. Errors: ErrTooLarge; ErrInvalid for an algorithm that the spec does not
// have; ErrUnsupported for RSAESPKCS1V15, which only decrypts, and for an algorithm that the
// edition does not allow; ErrUsage; ErrKeyState; ErrDenied.
func (c Client) AsymmetricEncrypt(ctx context.Context, key string, plaintext []byte, alg EncryptionAlgorithm) ([]byte, error) {
	q := request{op: OpAsymmetricEncrypt, key: key, size: len(plaintext)}
	if len(plaintext) > MaxPlaintext {
		return nil, c.argumentError(ctx, q, fmt.Errorf("%w: plaintext has %d bytes; use a data key", ErrTooLarge, len(plaintext)))
	}
	own := c.vault.copyInput(plaintext)
	defer own.Release()
	return useKey(ctx, c, q, func(ctx context.Context, d *decision) ([]byte, error) {
		row, err := chooseDecrypt(d.t.Spec, alg, c.vault.cfg.Edition)
		if err != nil {
			return nil, err
		}
		if row.alg == RSAESPKCS1V15 {
			return nil, fmt.Errorf("%w: encryption with %s; use %s", ErrUnsupported, RSAESPKCS1V15, RSAESOAEPSHA256)
		}
		d.rec.Algorithm = string(row.alg)
		ver, err := c.vault.records.version(ctx, d.t.ID, d.t.Version)
		if err != nil {
			return nil, err
		}
		public := PublicKey{Key: d.t.ID, Spec: d.t.Spec, Usage: d.t.Usage, DER: ver.Public}
		if err := checkPlaintext(public, row.alg, len(own.Bytes)); err != nil {
			return nil, err
		}
		out, err := soft.Encrypt(ver.Public, row.device, own.Bytes)
		d.rec.OutputSize = uint64(len(out))
		return out, err
	}, nil)
}

// maxSM2Plaintext is the length of the longest plaintext whose SM2 ciphertext always has at
// most MaxSM2Ciphertext bytes.
const maxSM2Plaintext = 146

// checkPlaintext returns ErrTooLarge or ErrInvalid for a plaintext that the algorithm does not
// take.
func checkPlaintext(k PublicKey, alg EncryptionAlgorithm, n int) error {
	parsed, err := k.Parse()
	if err != nil {
		return err
	}
	limit := maxPlaintextOf(parsed, alg)
	switch {
	case n > limit:
		return fmt.Errorf("%w: the plaintext has %d bytes; %s under this key takes %d", ErrTooLarge, n, alg, limit)
	case n == 0 && alg == SM2C1C3C2:
		return invalid("the plaintext is empty, which SM2 cannot encrypt")
	}
	return nil
}

// maxPlaintextOf returns the length of the longest plaintext (RFC 8017, 7.1.1).
func maxPlaintextOf(public crypto.PublicKey, alg EncryptionAlgorithm) int {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if alg == RSAESOAEPSHA1 {
			return k.Size() - 2*crypto.SHA1.Size() - 2
		}
		return k.Size() - 2*crypto.SHA256.Size() - 2
	case *ecdsa.PublicKey:
		return maxSM2Plaintext
	}
	return 0
}

// A Recipient is the public key to which DecryptTo and GenerateDataKeyTo encrypt plaintext.
// ParseRecipient makes one.
type Recipient struct{ key publickey.Recipient }

// ParseRecipient reads a public key: a SubjectPublicKeyInfo in DER, or in one PEM block. For an
// RSA key of 2048, 3072 or 4096 bits with an odd exponent from 65537 on, the algorithm is
// RSAES_OAEP_SHA_256, with plaintexts of up to 190, 318 or 446 bytes; for a key on the curve of
// SM2 it is SM2_C1C3C2_ASN1. Errors: ErrInvalid.
func ParseRecipient(key []byte) (Recipient, error) {
	r, err := publickey.ParseRecipient(key)
	return Recipient{r}, wrap("ParseRecipient", "", err)
}

// Fingerprint returns the SHA-256 of the key's SubjectPublicKeyInfo in hexadecimal, by which
// policies and audit records name the recipient.
func (r Recipient) Fingerprint() string { return r.key.Fingerprint }

// Algorithm returns the algorithm by which plaintext is encrypted to the recipient; see
// ParseRecipient. It is empty for the zero value.
func (r Recipient) Algorithm() EncryptionAlgorithm { return EncryptionAlgorithm(r.key.Algorithm) }

// check returns an error if the edition has no algorithm for the recipient.
func (r Recipient) check(v *Vault) error {
	if r.key.Algorithm == "" {
		return invalid("the recipient is the zero value; ParseRecipient makes one")
	}
	if v == nil {
		return nil
	}
	return editionrules.Excluded(v.cfg.Edition, r.key.Algorithm)
}

// record writes the recipient into the record of an operation.
func (r Recipient) record(d *decision) {
	d.note("recipient", r.key.Fingerprint)
	d.note("recipient_algorithm", r.key.Algorithm)
}

// DecryptTo is like Decrypt, and returns the plaintext encrypted to the recipient. The caller
// never gets the plaintext in the clear. A principal may be allowed DecryptTo and not
// Decrypt; Request.Recipient has the recipient's fingerprint. Errors: those of Decrypt;
// ErrInvalid and ErrTooLarge for a recipient or plaintext that the algorithm does not take;
// ErrUnsupported for an algorithm that the edition does not allow.
func (c Client) DecryptTo(ctx context.Context, to Recipient, ct []byte, ec EncryptionContext) ([]byte, error) {
	if err := to.check(c.vault); err != nil {
		return nil, c.argumentError(ctx, request{op: OpDecryptTo}, err)
	}
	own, plain := c.vault.copyInput(ct[:min(len(ct), inputcopy.Pooled+1)]), c.vault.copyInput(nil)
	defer own.Release()
	defer plain.Release()
	return openCiphertext(ctx, c, request{op: OpDecryptTo, recipient: to.key.Fingerprint}, own.Bytes, ec, func(ctx context.Context, d *decision, m message) ([]byte, error) {
		to.record(d)
		got, err := c.vault.decryptMessage(ctx, m, plain.Bytes[:0])
		if err != nil {
			return nil, err
		}
		sealed, err := to.key.Seal(got)
		d.rec.OutputSize = uint64(len(sealed))
		return sealed, err
	}, nil)
}

// A SealedDataKey is a data key that GenerateDataKeyTo made.
type SealedDataKey struct {
	// Ciphertext is the data key encrypted under the CMK, for OpenDataKey and DecryptTo.
	Ciphertext []byte
	// Sealed is the data key encrypted to the recipient.
	Sealed []byte
}

// GenerateDataKeyTo is like GenerateDataKey, and returns the data key encrypted to the
// recipient. The caller never gets it in the clear. Errors: those of GenerateDataKey and of
// DecryptTo.
func (c Client) GenerateDataKeyTo(ctx context.Context, to Recipient, key string, size int, ec EncryptionContext) (SealedDataKey, error) {
	q := request{op: OpGenerateDataKeyTo, key: key, recipient: to.key.Fingerprint}
	if err := to.check(c.vault); err != nil {
		return SealedDataKey{}, c.argumentError(ctx, q, err)
	}
	var out SealedDataKey
	k, err := c.newDataKey(ctx, q, size, ec, func(d *decision, k *DataKey) error {
		to.record(d)
		return k.Use(func(plain []byte) (err error) {
			out.Sealed, err = to.key.Seal(plain)
			d.rec.OutputSize = uint64(len(out.Sealed))
			return err
		})
	})
	if err != nil {
		return SealedDataKey{}, err
	}
	defer k.Destroy()
	out.Ciphertext = k.ciphertext
	return out, nil
}
