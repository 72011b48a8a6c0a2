package drivertest

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"math/big"
	"slices"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"

	"strongroom.example/driver"
	"strongroom.example/internal/gate"
	"strongroom.example/internal/sm2ciphertext"
)

// A memoryKey is an open key of a Memory.
type memoryKey struct {
	device   *Memory
	own      *gate.Gate
	row      driver.SpecInfo
	material keyMaterial
}

// open returns the Key type for a key's usage.
func open(k memoryKey) driver.Key {
	switch k.row.Spec.Usage {
	case driver.Derive:
		return memoryPRF{k}
	case driver.Sign:
		return memorySigner{k}
	case driver.Decrypt:
		return memoryDecrypter{k}
	}
	return k
}

func (k memoryKey) enter(ctx context.Context, op string) error {
	if err := enter(ctx, k.own, op); err != nil {
		return err
	}
	if err := enter(ctx, &k.device.gate, op); err != nil {
		k.own.Leave()
		return err
	}
	return nil
}

func (k memoryKey) leave() {
	k.device.gate.Leave()
	k.own.Leave()
}

func (k memoryKey) Close() error {
	k.own.Shut()
	return nil
}

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
	if len(input) > driver.MaxInput {
		return dst, failure(op, driver.Invalid, errLength)
	}
	return prf(k.row.Spec.Algorithm, dst, k.material.raw, input), nil
}

// prf appends the HMAC of a derivation algorithm to dst.
func prf(alg driver.KeyAlgorithm, dst, key, input []byte) []byte {
	fresh := map[driver.KeyAlgorithm]func() hash.Hash{
		driver.HMACSHA256: sha256.New, driver.HMACSHA224: sha256.New224, driver.HMACSHA384: sha512.New384, driver.HMACSHA512: sha512.New, driver.HMACSM3: sm3.New,
	}
	mac := hmac.New(fresh[alg], key)
	mac.Write(input)
	return mac.Sum(dst)
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
	if !alg.FitsInput(len(input)) {
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

// signOptions returns the crypto.SignerOpts of an algorithm.
func signOptions(alg driver.SignAlg) crypto.SignerOpts {
	if alg.IsPSS() {
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: alg.Hash()}
	}
	return alg.Hash()
}

// oaepHash returns the hash of an OAEP algorithm.
func oaepHash(alg driver.EncryptAlg) hash.Hash {
	if alg == driver.RSAOAEPSHA1 {
		return sha1.New()
	}
	return sha256.New()
}

// rawRSA returns c^d mod n. It is not constant-time, which a test double need not be.
func rawRSA(key *rsa.PrivateKey, ciphertext []byte) ([]byte, error) {
	c := new(big.Int).SetBytes(ciphertext)
	if len(ciphertext) != key.Size() || c.Cmp(key.N) >= 0 {
		return nil, errCiphertext
	}
	return c.Exp(c, key.D, key.N).FillBytes(make([]byte, key.Size())), nil
}

// decryptSM2 accepts the form of SM2ASN1 only. gmsm also accepts raw forms, which it
// distinguishes by the first byte.
func decryptSM2(key *sm2.PrivateKey, ciphertext []byte) ([]byte, error) {
	if _, ok := sm2ciphertext.Parse(ciphertext); !ok {
		return nil, errCiphertext
	}
	return key.Decrypt(nil, ciphertext, nil)
}
