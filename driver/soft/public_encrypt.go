package soft

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"math/big"
	"slices"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
	"strongroom.example/internal/keyder"
	"strongroom.example/internal/sm2ciphertext"
)

// Encrypt encrypts text in software to a public key (X.509 SubjectPublicKeyInfo), in the
// form that a [driver.Decrypter] decrypts by alg. For RSARaw, text is a big-endian number
// below the modulus.
//
// Errors:
//   - Invalid: the key is not one for alg, or text is too long.
//   - Unsupported: alg is unknown, or uses SHA-1 in a process that enforces FIPS 140.
func Encrypt(publicDER []byte, alg driver.EncryptAlg, text []byte) ([]byte, error) {
	const op = "Encrypt"
	if alg == driver.RSAOAEPSHA1 && !slices.Contains(rsaEncryption(), alg) {
		return nil, fault(op, driver.Unsupported, errAlgorithm)
	}
	public, err := keyder.ParsePublic(publicDER)
	if err != nil {
		return nil, fault(op, driver.Invalid, errPublic)
	}
	var ciphertext []byte
	switch alg {
	case driver.RSARaw, driver.RSAOAEPSHA1, driver.RSAOAEPSHA256:
		key, ok := public.(*rsa.PublicKey)
		if !ok {
			return nil, fault(op, driver.Invalid, errPublic)
		}
		ciphertext, err = encryptRSA(key, alg, text)
	case driver.SM2ASN1:
		key, ok := public.(*ecdsa.PublicKey)
		if !ok || !sm2.IsSM2PublicKey(key) {
			return nil, fault(op, driver.Invalid, errPublic)
		}
		ciphertext, err = sm2ciphertext.Encrypt(key, text)
	default:
		return nil, fault(op, driver.Unsupported, errAlgorithm)
	}
	if err != nil {
		return nil, fault(op, driver.Invalid, err)
	}
	return ciphertext, nil
}

func encryptRSA(key *rsa.PublicKey, alg driver.EncryptAlg, text []byte) ([]byte, error) {
	switch alg {
	case driver.RSAOAEPSHA1:
		return rsa.EncryptOAEP(sha1.New(), rand.Reader, key, text, nil)
	case driver.RSAOAEPSHA256:
		return rsa.EncryptOAEP(sha256.New(), rand.Reader, key, text, nil)
	}
	m := new(big.Int).SetBytes(text)
	if m.Cmp(key.N) >= 0 {
		return nil, errLength
	}
	return m.Exp(m, big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, key.Size())), nil
}
