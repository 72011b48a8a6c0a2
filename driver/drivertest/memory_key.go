package drivertest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"hash"
	"slices"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"

	"strongroom.example/driver"
)

// A memoryKey is an open key of a Memory.
type memoryKey struct {
	device   *Memory
	own      *gate
	row      driver.SpecInfo
	material material
}

// open returns the Key type for a key's usage.
func open(k memoryKey) driver.Key {
	switch k.row.Spec.Usage {
	case driver.Derive:
		return memoryPRF{k}
	case driver.Seal:
		return memoryAEAD{k}
	case driver.Sign:
		return memorySigner{k}
	case driver.Decrypt:
		return memoryDecrypter{k}
	}
	return k
}

func (k memoryKey) enter(ctx context.Context, op string) error {
	if err := k.own.enter(ctx, op); err != nil {
		return err
	}
	if err := k.device.gate.enter(ctx, op); err != nil {
		k.own.leave()
		return err
	}
	return nil
}

func (k memoryKey) leave() {
	k.device.gate.leave()
	k.own.leave()
}

func (k memoryKey) Close() error {
	k.own.close()
	return nil
}

const (
	maxPRFInput = 4096
	maxMessage  = 4096
)

var (
	errLength     = errors.New("an input of this length is not taken")
	errCiphertext = errors.New("not a ciphertext of this key")
)

type memoryPRF struct{ memoryKey }

func (k memoryPRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	const op = "PRF"
	if err := k.enter(ctx, op); err != nil {
		return dst, err
	}
	defer k.leave()
	if len(input) > maxPRFInput {
		return dst, failure(op, driver.Invalid, errLength)
	}
	return prf(k.row.Spec.Algorithm, dst, k.material.raw, input), nil
}

// prf appends the HMAC of a derivation algorithm to dst.
func prf(alg driver.KeyAlgorithm, dst, key, input []byte) []byte {
	var fresh func() hash.Hash = sha256.New
	if alg == driver.HMACSM3 {
		fresh = sm3.New
	}
	mac := hmac.New(fresh, key)
	mac.Write(input)
	return mac.Sum(dst)
}

type memoryAEAD struct{ memoryKey }

func (k memoryAEAD) gcm() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.material.raw)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (k memoryAEAD) Seal(ctx context.Context, dst, plaintext, aad []byte) ([]byte, error) {
	const op = "Seal"
	if err := k.enter(ctx, op); err != nil {
		return dst, err
	}
	defer k.leave()
	aead, err := k.gcm()
	if err != nil {
		return dst, failure(op, driver.Unknown, err)
	}
	return aead.Seal(dst, nil, plaintext, aad), nil
}

func (k memoryAEAD) Open(ctx context.Context, dst, ciphertext, aad []byte) ([]byte, error) {
	const op = "Open"
	if err := k.enter(ctx, op); err != nil {
		return dst, err
	}
	defer k.leave()
	aead, err := k.gcm()
	if err != nil {
		return dst, failure(op, driver.Unknown, err)
	}
	out, err := aead.Open(dst, nil, ciphertext, aad)
	if err != nil {
		return dst, failure(op, driver.Authentic, errCiphertext)
	}
	return out, nil
}

type memorySigner struct{ memoryKey }

func (k memorySigner) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	const op = "Sign"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if !slices.Contains(k.row.Sign, alg) {
		return nil, failure(op, driver.Unsupported, errSpec)
	}
	if alg.TakesMessage() && len(input) > maxMessage || !alg.TakesMessage() && len(input) != alg.DigestSize() {
		return nil, failure(op, driver.Invalid, errLength)
	}
	signature, err := k.material.private.Sign(rand.Reader, input, signOptions(alg))
	if err != nil {
		return nil, failure(op, driver.Unknown, err)
	}
	return signature, nil
}

type memoryDecrypter struct{ memoryKey }

func (k memoryDecrypter) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	const op = "Decrypt"
	if err := k.enter(ctx, op); err != nil {
		return dst, err
	}
	defer k.leave()
	if !slices.Contains(k.row.Decrypt, alg) {
		return dst, failure(op, driver.Unsupported, errSpec)
	}
	plaintext, err := decrypt(k.material.private, alg, ciphertext)
	if err != nil {
		return dst, failure(op, driver.Authentic, errCiphertext)
	}
	defer clear(plaintext)
	return append(dst, plaintext...), nil
}

// decrypt decrypts by any algorithm. Its error does not distinguish causes.
func decrypt(private any, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	switch key := private.(type) {
	case *rsa.PrivateKey:
		if alg == driver.RSARaw {
			return rawRSA(key, ciphertext)
		}
		if len(ciphertext) != key.Size() { // the standard library accepts shorter ones
			return nil, errCiphertext
		}
		return rsa.DecryptOAEP(oaepHash(alg), nil, key, ciphertext, nil)
	case *sm2.PrivateKey:
		return decryptSM2(key, ciphertext)
	}
	return nil, errCiphertext
}
