package bench

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"

	"strongroom.example/driver"
)

// Bare returns the cryptography of an operation alone, by the libraries that the software
// engine uses, under a key of its own. It is the Raw of the software engine. It returns nil
// for an algorithm that it does not know.
func Bare(_ *testing.B, k Key, alg string) Baseline {
	do := bareAct(k.Row.Spec, alg)
	if do == nil {
		return nil
	}
	return baselineOf(do)
}

// baselineOf returns the baseline that repeats an operation in this process.
func baselineOf(do act) Baseline {
	return func(b *testing.B, callers int, turn time.Duration) Cost {
		b.Helper()
		used := processorTime()
		r := measure(b.Context(), callers, turn, do)
		used = processorTime() - used
		if r.first != nil {
			b.Fatal(r.first)
		}
		return Cost{time.Duration(1e9 / r.rate()), max(0, used/time.Duration(r.latency.total))}
	}
}

func bareAct(spec driver.KeySpec, alg string) act {
	switch spec.Usage {
	case driver.Derive:
		return bareHMAC(spec.Algorithm)
	case driver.Sign:
		return bareSign(spec.Algorithm, driver.SignAlg(alg))
	case driver.Decrypt:
		return bareDecrypt(spec.Algorithm, driver.EncryptAlg(alg))
	}
	return nil
}

func bareHMAC(alg driver.KeyAlgorithm) act {
	hash := map[driver.KeyAlgorithm]func() hash.Hash{
		driver.HMACSHA256: sha256.New, driver.HMACSHA224: sha256.New224, driver.HMACSHA384: sha512.New384, driver.HMACSHA512: sha512.New, driver.HMACSM3: sm3.New,
	}[alg]
	key, input := make([]byte, alg.MACSize()), make([]byte, prfInput)
	return func(_ context.Context, dst []byte) error {
		h := hmac.New(hash, key)
		h.Write(input)
		h.Sum(dst)
		return nil
	}
}

func bareSign(key driver.KeyAlgorithm, alg driver.SignAlg) act {
	var signer crypto.Signer
	var options crypto.SignerOpts = alg.Hash()
	switch {
	case key.ModulusBits() > 0:
		signer = must(rsa.GenerateKey(rand.Reader, key.ModulusBits()))
		if alg.IsPSS() {
			options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: alg.Hash()}
		}
	case key == driver.SM2:
		signer, options = must(sm2.GenerateKey(rand.Reader)), nil
	case key == driver.Ed25519:
		signer, options = newEd25519(), crypto.Hash(0)
	case key.Curve() != nil:
		signer = must(ecdsa.GenerateKey(key.Curve(), rand.Reader))
	default:
		return nil
	}
	input := make([]byte, signInput(alg))
	return func(context.Context, []byte) error { _, err := signer.Sign(rand.Reader, input, options); return err }
}

func newEd25519() ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	return ed25519.NewKeyFromSeed(seed)
}

func bareDecrypt(key driver.KeyAlgorithm, alg driver.EncryptAlg) act {
	message := make([]byte, plaintext)
	switch {
	case alg == driver.RSAOAEPSHA256:
		k := must(rsa.GenerateKey(rand.Reader, key.ModulusBits()))
		ciphertext := must(rsa.EncryptOAEP(sha256.New(), rand.Reader, &k.PublicKey, message, nil))
		return func(context.Context, []byte) error {
			_, err := rsa.DecryptOAEP(sha256.New(), nil, k, ciphertext, nil)
			return err
		}
	case key == driver.SM2:
		k := must(sm2.GenerateKey(rand.Reader))
		ciphertext := must(sm2.EncryptASN1(rand.Reader, &k.PublicKey, message))
		return func(context.Context, []byte) error {
			_, err := k.Decrypt(nil, ciphertext, sm2.ASN1DecrypterOpts)
			return err
		}
	}
	return nil
}

// gcm is AES-256-GCM under one key that was prepared before, the bare cryptography of data
// operations.
type gcm struct{ cipher.AEAD }

func newGCM() gcm {
	key := make([]byte, 32)
	rand.Read(key)
	return gcm{must(cipher.NewGCMWithRandomNonce(must(aes.NewCipher(key))))}
}

func (g gcm) seal(text []byte) []byte { return g.Seal(nil, nil, text, nil) }

func (g gcm) open(sealed []byte) ([]byte, error) { return g.Open(nil, nil, sealed, nil) }

// dataKey draws 32 random bytes and encrypts them.
func (g gcm) dataKey() (key, sealed []byte) {
	key = make([]byte, 32)
	rand.Read(key)
	return key, g.seal(key)
}
