package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"hash"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/driver"
)

// The measured inputs: a PRF takes the label of a message, and a signature a digest.
const (
	prfInput     = 60
	plaintext    = 32
	randomLength = 32
)

func benchPRF(b *testing.B, m *opened) {
	m.rows(driver.Derive, func(row driver.SpecInfo) {
		b.Run(m.name("alg="+algorithmName(row.Spec.Algorithm, "")), func(b *testing.B) {
			sweep(b, m.Callers, prfAct(m.key(b, row)))
		})
	})
}

func prfAct(k Key) act {
	input := make([]byte, prfInput)
	return func(ctx context.Context, dst []byte) error {
		_, err := k.Open.(driver.PRF).PRF(ctx, dst, input)
		return err
	}
}

// benchSign sweeps the first algorithm of each key. The others cost the same, and are
// measured with 1 and 8 callers.
func benchSign(b *testing.B, m *opened) {
	m.rows(driver.Sign, func(row driver.SpecInfo) {
		for i, alg := range row.Sign {
			b.Run(m.name("alg="+algorithmName(row.Spec.Algorithm, string(alg))), func(b *testing.B) {
				sweep(b, m.callersOf(i), signAct(m.key(b, row), alg))
			})
		}
	})
}

func signAct(k Key, alg driver.SignAlg) act {
	input := make([]byte, max(alg.DigestSize(), plaintext))[:signInput(alg)]
	return func(ctx context.Context, _ []byte) error {
		_, err := k.Open.(driver.Signer).Sign(ctx, alg, input)
		return err
	}
}

// signInput returns the length of what an algorithm signs: a digest, or a message as long
// as one.
func signInput(alg driver.SignAlg) int {
	if alg.TakesMessage() {
		return sha256.Size
	}
	return alg.DigestSize()
}

func benchDecrypt(b *testing.B, m *opened) {
	m.rows(driver.Decrypt, func(row driver.SpecInfo) {
		for i, alg := range row.Decrypt {
			b.Run(m.name("alg="+algorithmName(row.Spec.Algorithm, string(alg))), func(b *testing.B) {
				sweep(b, m.callersOf(i), decryptAct(m.key(b, row), alg))
			})
		}
	})
}

func decryptAct(k Key, alg driver.EncryptAlg) act {
	ciphertext := encryptTo(k.PublicDER, alg)
	return func(ctx context.Context, dst []byte) error {
		_, err := k.Open.(driver.Decrypter).Decrypt(ctx, dst, alg, ciphertext)
		return err
	}
}

// encryptTo encrypts 32 bytes to a public key.
func encryptTo(publicDER []byte, alg driver.EncryptAlg) []byte {
	message := make([]byte, plaintext)
	switch public := must(smx509.ParsePKIXPublicKey(publicDER)).(type) {
	case *rsa.PublicKey:
		hashes := map[driver.EncryptAlg]func() hash.Hash{driver.RSAOAEPSHA1: sha1.New, driver.RSAOAEPSHA256: sha256.New}
		if h, ok := hashes[alg]; ok {
			return must(rsa.EncryptOAEP(h(), rand.Reader, public, message, nil))
		}
		raw := make([]byte, public.Size()) // any number below the modulus is a ciphertext
		rand.Read(raw[1:])
		return raw
	case *ecdsa.PublicKey:
		return must(sm2.EncryptASN1(rand.Reader, public, message))
	}
	panic("no public key that encrypts")
}

// callersOf returns the callers for the algorithm of a key with an index.
func (m *opened) callersOf(index int) []int {
	if index == 0 {
		return m.Callers
	}
	return m.few()
}

func benchRandom(b *testing.B, m *opened) {
	random, ok := m.driver.(driver.Random)
	if !ok || !m.info.Random {
		return
	}
	b.Run(m.name("size=32B"), func(b *testing.B) {
		sweep(b, m.Callers, func(ctx context.Context, dst []byte) error { return random.Random(ctx, dst[:randomLength]) })
	})
}

// benchGenerateKey measures the creation of keys. Their destruction is not in the figures.
func benchGenerateKey(b *testing.B, m *opened) {
	for _, row := range m.info.Specs {
		if row.Spec.Usage == driver.Unwrap {
			continue
		}
		b.Run(m.name("alg="+string(row.Spec.Algorithm)+"_"+string(row.Spec.Usage)), func(b *testing.B) {
			var id driver.MaterialID
			var made driver.Created
			serial(b, func() (err error) {
				id = newID()
				made, err = m.driver.GenerateKey(context.Background(), id, row.Spec)
				return err
			}, func() error { return m.driver.DestroyKey(context.Background(), id, made.Blob) })
		})
	}
}

// benchImportKey measures the import of material from the host's memory. The destruction of
// the key is not in the figures.
func benchImportKey(b *testing.B, m *opened) {
	for _, row := range m.info.Specs {
		if row.Spec.Usage == driver.Unwrap || !row.Import {
			continue
		}
		b.Run(m.name("alg="+string(row.Spec.Algorithm)+"_"+string(row.Spec.Usage)), func(b *testing.B) {
			material := newMaterial(row.Spec.Algorithm)
			var id driver.MaterialID
			var made driver.Created
			serial(b, func() (err error) {
				id = newID()
				made, err = m.driver.(driver.Importer).ImportKey(context.Background(), id, row.Spec, material)
				return err
			}, func() error { return m.driver.DestroyKey(context.Background(), id, made.Blob) })
		})
	}
}

// newMaterial returns fresh material in the form that ImportKey takes: raw bytes, or PKCS #8.
func newMaterial(alg driver.KeyAlgorithm) []byte {
	switch {
	case alg.Symmetric():
		key := make([]byte, alg.MACSize())
		rand.Read(key)
		return key
	case alg.ModulusBits() > 0:
		return must(x509.MarshalPKCS8PrivateKey(must(rsa.GenerateKey(rand.Reader, alg.ModulusBits()))))
	case alg == driver.SM2:
		return must(smx509.MarshalPKCS8PrivateKey(must(sm2.GenerateKey(rand.Reader))))
	case alg == driver.Ed25519:
		return must(x509.MarshalPKCS8PrivateKey(newEd25519()))
	}
	return must(x509.MarshalPKCS8PrivateKey(must(ecdsa.GenerateKey(alg.Curve(), rand.Reader))))
}
