//go:build cgo && unix

package pkcs11

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// A reference is what a key in the token is checked against: its material if that is
// symmetric and known, or its public key.
type reference struct {
	secret []byte
	public crypto.PublicKey
}

var errTrial = errors.New("the token's result is not that of Go's cryptography")

// answers uses a key once and checks the result. A symmetric key whose material is not
// known must at least give consistent results.
func (o *object) answers(s session, ref reference) error {
	switch o.shape.spec.Usage {
	case driver.Derive:
		return o.answersHMAC(s, ref.secret)
	case driver.Seal:
		return o.answersGCM(s, ref.secret)
	case driver.Sign:
		return byFirst(signAlgs(o.shape), func(alg driver.SignAlg) error { return o.answersSign(s, alg, ref.public) })
	case driver.Decrypt:
		return byFirst(decryptAlgs(), func(alg driver.EncryptAlg) error {
			return o.answersDecrypt(s, alg, alg != driver.RSARaw, ref.public)
		})
	}
	return nil
}

// byFirst calls use with the first algorithm of the list that the token supports, because
// a missing algorithm says nothing about the others or the key.
func byFirst[A any](list []A, use func(A) error) (err error) {
	for _, alg := range list {
		if err = use(alg); !lacksMechanism(err) {
			return err
		}
	}
	return err
}

// lacksMechanism reports whether an error says that the token does not support the
// mechanism, or not with these parameters.
func lacksMechanism(err error) bool {
	switch codeOf(err) {
	case p11.CKR_MECHANISM_INVALID, p11.CKR_MECHANISM_PARAM_INVALID, p11.CKR_FUNCTION_NOT_SUPPORTED, p11.CKR_KEY_FUNCTION_NOT_PERMITTED:
		return true
	}
	return false
}

// decryptAlgs returns the algorithms by which an RSA key decrypts, if the token supports
// them.
func decryptAlgs() []driver.EncryptAlg {
	list := []driver.EncryptAlg{driver.RSARaw, driver.RSAOAEPSHA256}
	if sha1Allowed() {
		list = append(list, driver.RSAOAEPSHA1)
	}
	return list
}

func (o *object) answersHMAC(s session, secret []byte) error {
	input, out, second := make([]byte, 100), make([]byte, hmacSize), make([]byte, hmacSize)
	rand.Read(input)
	_, err := o.hmac(s, out, input)
	_, again := o.hmac(s, second, input)
	if err != nil || again != nil {
		return errors.Join(err, again)
	}
	if secret != nil {
		mac := hmac.New(sha256.New, secret)
		mac.Write(input)
		second = mac.Sum(nil)
	}
	if !hmac.Equal(out, second) {
		return errTrial
	}
	return nil
}

// answersGCM seals twice and opens once. It fails if both ivs are equal or a result is
// wrong.
func (o *object) answersGCM(s session, secret []byte) error {
	text, aad := []byte("strongroom trial text"), []byte("associated")
	size := ivSize + len(text) + tagSize
	first, second, out := make([]byte, size), make([]byte, size), make([]byte, len(text)+tagSize)
	for _, sealed := range [][]byte{first, second} {
		if n, err := o.seal(s, sealing{sealed, text, aad}); err != nil || n != size {
			return errors.Join(errTrial, err)
		}
	}
	n, err := o.open(s, sealing{first, out, aad})
	if err != nil || !bytes.Equal(out[:n], text) || bytes.Equal(first[:ivSize], second[:ivSize]) {
		return errors.Join(errTrial, err)
	}
	if secret == nil {
		return nil
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return err
	}
	if plain, err := gcm.Open(nil, first[:ivSize], first[ivSize:], aad); err != nil || !bytes.Equal(plain, text) {
		return errTrial
	}
	return nil
}

// answersSign verifies a signature of a random input.
func (o *object) answersSign(s session, alg driver.SignAlg, public crypto.PublicKey) error {
	input := make([]byte, max(alg.DigestSize(), 32))
	rand.Read(input)
	signature, err := o.sign(s, alg, input)
	if err != nil {
		return err
	}
	good := false
	switch key := public.(type) {
	case ed25519.PublicKey:
		good = ed25519.Verify(key, input, signature)
	case *ecdsa.PublicKey:
		good = ecdsa.VerifyASN1(key, input, signature)
	case *rsa.PublicKey:
		if h := alg.Hash(); alg.IsPSS() {
			good = rsa.VerifyPSS(key, h, input, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		} else {
			good = rsa.VerifyPKCS1v15(key, h, input, signature) == nil
		}
	}
	if !good {
		return errTrial
	}
	return nil
}
