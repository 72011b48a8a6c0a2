//go:build cgo && unix

package object

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/fips140"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	_ "crypto/sha512" // for HMAC
	"errors"
	"hash"
	"math/big"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

// A Reference is what a key in the token is checked against: its material if that is
// symmetric and known, or its public key.
type Reference struct {
	secret []byte
	Public crypto.PublicKey
}

var ErrWrongResult = errors.New("the token's result is not that of Go's cryptography")

// Verify uses a key once and checks the result. A symmetric key whose material is not
// known must at least give consistent results.
func (o *Object) Verify(s Session, ref Reference) error {
	switch o.Shape.Spec.Usage {
	case driver.Derive:
		return o.verifyHMAC(s, ref.secret)
	case driver.Sign:
		return byFirst(o.Shape.Spec.Algorithm.SignAlgs(), func(alg driver.SignAlg) error { return o.VerifySign(s, alg, ref.Public) })
	case driver.Decrypt:
		return byFirst(decryptAlgs(), func(alg driver.EncryptAlg) error {
			return o.VerifyDecrypt(s, alg, alg != driver.RSARaw, ref.Public)
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
	switch cryptoki.CodeOf(err) {
	case p11.CKR_MECHANISM_INVALID, p11.CKR_MECHANISM_PARAM_INVALID, p11.CKR_FUNCTION_NOT_SUPPORTED, p11.CKR_KEY_FUNCTION_NOT_PERMITTED:
		return true
	}
	return false
}

// decryptAlgs returns the algorithms by which an RSA key decrypts, if the token supports
// them.
func decryptAlgs() []driver.EncryptAlg {
	list := []driver.EncryptAlg{driver.RSARaw, driver.RSAOAEPSHA256}
	if SHA1Allowed() {
		list = append(list, driver.RSAOAEPSHA1)
	}
	return list
}

func (o *Object) verifyHMAC(s Session, secret []byte) error {
	size := o.Shape.Spec.Algorithm.MACSize()
	input, out, second := make([]byte, 100), make([]byte, size), make([]byte, size)
	rand.Read(input)
	_, err := o.HMAC(s, out, input)
	_, again := o.HMAC(s, second, input)
	if err != nil || again != nil {
		return errors.Join(err, again)
	}
	if secret != nil {
		mac := hmac.New(hmacs[o.Shape.Spec.Algorithm].hash.New, secret)
		mac.Write(input)
		second = mac.Sum(nil)
	}
	if !hmac.Equal(out, second) {
		return ErrWrongResult
	}
	return nil
}

// VerifySign verifies a signature of a random input.
func (o *Object) VerifySign(s Session, alg driver.SignAlg, public crypto.PublicKey) error {
	input := make([]byte, max(alg.DigestSize(), 32))
	rand.Read(input)
	signature, err := o.Sign(s, alg, input)
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
		return ErrWrongResult
	}
	return nil
}

// VerifyDecrypt decrypts a ciphertext that the host made. For raw RSA the plaintext is a
// number with leading zeros.
func (o *Object) VerifyDecrypt(s Session, alg driver.EncryptAlg, native bool, public crypto.PublicKey) error {
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return ErrWrongResult
	}
	text := make([]byte, 32)
	rand.Read(text)
	ciphertext, err := encryptFor(key, alg, text)
	if err != nil {
		return err
	}
	out := make([]byte, key.Size())
	n, err := o.Decrypt(s, Decryption{alg, native, ciphertext, out})
	if err != nil {
		return err
	}
	if !bytes.HasSuffix(out[:n], text) || n != len(text) && alg != driver.RSARaw {
		return ErrWrongResult
	}
	return nil
}

func encryptFor(key *rsa.PublicKey, alg driver.EncryptAlg, text []byte) ([]byte, error) {
	var h hash.Hash
	switch alg {
	case driver.RSARaw:
		c := new(big.Int).Exp(new(big.Int).SetBytes(text), big.NewInt(int64(key.E)), key.N)
		return c.FillBytes(make([]byte, key.Size())), nil
	case driver.RSAOAEPSHA1:
		h = sha1.New()
	default:
		h = sha256.New()
	}
	return rsa.EncryptOAEP(h, rand.Reader, key, text, nil)
}

// oneKey reports whether several handles belong to the same key. Some modules show an
// object twice if it was made while others were being made. The keys are compared by
// their results, or by the modulus of an RSA key.
func (s Session) oneKey(found []p11.ObjectHandle, o *Object) (bool, error) {
	first := s.ObjectAt(found[0], o.Request())
	for _, handle := range found[1:] {
		same, err := s.sameKey(first, s.ObjectAt(handle, o.Request()))
		if err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

func (s Session) sameKey(a, b *Object) (bool, error) {
	handle, other := a.LastHandle(), b.LastHandle()
	switch {
	case a.Shape.Kind == p11.CKK_RSA:
		return s.sameAttribute([]p11.ObjectHandle{handle, other}, p11.CKA_MODULUS)
	case a.Shape.Spec.Usage == driver.Derive:
		size := a.Shape.Spec.Algorithm.MACSize()
		x, y := make([]byte, size), make([]byte, size)
		label := []byte("strongroom: two handles")
		if _, err := a.HMAC(s, x, label); err != nil {
			return false, err
		}
		_, err := b.HMAC(s, y, label)
		return hmac.Equal(x, y), err
	}
	public, err := s.Public(handle, a.Request())
	if err != nil {
		return false, err
	}
	for _, o := range []*Object{a, b} {
		err := o.VerifySign(s, o.Shape.Spec.Algorithm.SignAlgs()[0], public)
		if errors.Is(err, ErrWrongResult) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// sameAttribute reports whether all objects have the same value of an attribute.
func (s Session) sameAttribute(objects []p11.ObjectHandle, kind uint) (bool, error) {
	var first []byte
	for i, o := range objects {
		value, err := s.Attribute(o, kind)
		if err != nil || len(value) == 0 {
			return false, err
		}
		if i == 0 {
			first = value
		}
		if !bytes.Equal(value, first) {
			return false, nil
		}
	}
	return true, nil
}

// SHA1Allowed reports whether SHA-1 can be used. Go refuses it if the process enforces
// FIPS 140, and with it the part of OAEP with SHA-1 that runs in the host.
func SHA1Allowed() bool { return !fips140.Enforced() }
