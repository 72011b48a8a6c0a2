package soft

import (
	"context"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"hash"
	"slices"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
	"strongroom.example/internal/sm2ciphertext"
	"strongroom.example/internal/suite"
)

var errCiphertext = errors.New("ciphertext does not decrypt")

// A decryptKey is an open private key of usage Decrypt. An RSA key has its raw primitive
// too.
type decryptKey struct {
	handle
	pair pair
	raw  *rawRSA
	algs []driver.EncryptAlg
}

var _ driver.Decrypter = (*decryptKey)(nil)

// Decrypt appends the plaintext to dst.
func (k *decryptKey) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	const op = "Decrypt"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if !slices.Contains(k.algs, alg) {
		return nil, fault(op, driver.Unsupported, errAlgorithm)
	}
	plaintext, err := k.decrypt(alg, ciphertext)
	defer suite.Wipe(plaintext)
	if err == errComputing {
		return nil, fault(op, driver.Unknown, err)
	}
	if err != nil {
		// Every wrong ciphertext is the same error, because the cause would distinguish
		// them.
		return nil, fault(op, driver.Authentic, errCiphertext)
	}
	return append(dst, plaintext...), nil
}

func (k *decryptKey) decrypt(alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	switch key := k.pair.private.(type) {
	case *sm2.PrivateKey:
		// gmsm would also accept raw forms and compressed points.
		if _, ok := sm2ciphertext.Parse(ciphertext); !ok {
			return nil, errCiphertext
		}
		return key.Decrypt(nil, ciphertext, sm2.ASN1DecrypterOpts)
	case *rsa.PrivateKey:
		if alg == driver.RSARaw {
			return k.raw.decrypt(ciphertext)
		}
		// RFC 8017 fixes the length; Go's own OAEP would accept a shorter ciphertext.
		if len(ciphertext) != key.Size() {
			return nil, errCiphertext
		}
		return rsa.DecryptOAEP(oaepHash(alg), nil, key, ciphertext, nil)
	}
	return nil, errAlgorithm
}

func oaepHash(alg driver.EncryptAlg) hash.Hash {
	if alg == driver.RSAOAEPSHA1 {
		return sha1.New()
	}
	return sha256.New()
}
