package vault

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"fmt"
	"io"

	"strongroom.example/internal/suite"
)

// A Decrypter is a crypto.Decrypter for a CMK of usage AsymmetricDecrypt. Each decryption
// is authorized and recorded as by Client.AsymmetricDecrypt.
type Decrypter struct {
	decrypting func(ciphertext []byte, alg EncryptionAlgorithm) ([]byte, error)
	reject     func(cause error) error // see Client.reject
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
	reject := func(cause error) error { return c.reject(ctx, request{op: OpAsymmetricDecrypt, key: p.Key}, cause) }
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
	return nil, d.reject(fmt.Errorf("%w: options %T of this kind", ErrUnsupported, opts))
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
