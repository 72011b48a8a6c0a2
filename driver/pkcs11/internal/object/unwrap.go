//go:build cgo && unix

package object

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"errors"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/internal/pkcs8"
)

// An Unwrapping is wrapped material with the key that unwraps it.
type Unwrapping struct {
	With       *Object
	Public     *rsa.PublicKey
	KeyWrap    uint
	Alg        driver.WrapAlg
	Ciphertext []byte
}

// Sized reports whether the ciphertext has a valid length.
func (u Unwrapping) Sized(sh Shape) bool {
	n := u.Public.Size()
	if !u.Alg.TwoSteps() {
		return BelowModulus(u.Ciphertext, u.Public)
	}
	if len(u.Ciphertext) < n+16 || len(u.Ciphertext)%8 != 0 || !BelowModulus(u.Ciphertext[:n], u.Public) {
		return false
	}
	return !sh.Secret() || len(u.Ciphertext)-n == 8+(int(sh.Size)+7)/8*8
}

// Unwrap makes the key. A blob of RSA_AES_KEY_WRAP is unwrapped in two steps, because few
// tokens support the mechanism: first an AES key that may only unwrap, and then the
// material under it.
func (u Unwrapping) Unwrap(s Session, r KeyRequest) (p11.ObjectHandle, error) {
	with, err := u.With.Handle(s)
	if err != nil {
		return 0, err
	}
	oaep := p11.NewMechanism(p11.CKM_RSA_PKCS_OAEP, u.oaep())
	if !u.Alg.TwoSteps() {
		o, err := s.unwrapInto(r, oaep, with, u.Ciphertext)
		return o, u.With.DropHandleOn(err)
	}
	n := u.Public.Size()
	inner, err := s.unwrapInto(innerRequest(u.KeyWrap), oaep, with, u.Ciphertext[:n])
	if err != nil {
		return 0, u.With.DropHandleOn(err)
	}
	defer s.Lib.Ctx.DestroyObject(s.Handle, inner) // it ends with the session in any case
	return s.unwrapInto(r, p11.NewMechanism(u.KeyWrap, nil), inner, u.Ciphertext[n:])
}

// UsesSHA256 reports whether OAEP uses SHA-256, and not SHA-1.
func UsesSHA256(alg driver.WrapAlg) bool {
	return alg == driver.WrapRSAOAEPSHA256 || alg == driver.WrapRSAAESKWPSHA256
}

func (u Unwrapping) oaep() *p11.OAEPParams {
	if UsesSHA256(u.Alg) {
		return p11.NewOAEPParams(p11.CKM_SHA256, p11.CKG_MGF1_SHA256, p11.CKZ_DATA_SPECIFIED, nil)
	}
	return p11.NewOAEPParams(p11.CKM_SHA_1, p11.CKG_MGF1_SHA1, p11.CKZ_DATA_SPECIFIED, nil)
}

// innerAES is the algorithm of the AES key between the two steps, of 16, 24 or 32 bytes.
const innerAES driver.KeyAlgorithm = "AES"

// innerRequest returns the request for the AES key between the two steps: a session key
// that may only unwrap.
func innerRequest(mechanism uint) KeyRequest {
	r := KeyRequest{Shape: Shape{
		Spec:  driver.KeySpec{Algorithm: innerAES, Usage: driver.Unwrap},
		Class: p11.CKO_SECRET_KEY, Kind: p11.CKK_AES, Size: 32,
		roles: []uint{p11.CKA_UNWRAP}, Mechanisms: []uint{mechanism},
	}}
	rand.Read(r.ID[:])
	return r
}

// unwrapInto unwraps a key in the token and checks the new object.
func (s Session) unwrapInto(r KeyRequest, m *p11.Mechanism, with p11.ObjectHandle, ciphertext []byte) (p11.ObjectHandle, error) {
	o, err := s.withFallback("unwrap", r, func(level int) (p11.ObjectHandle, error) {
		o, err := s.Lib.Ctx.UnwrapKey(s.Handle, []*p11.Mechanism{m}, with, ciphertext, r.protectedTemplate(level).Attributes())
		return o, cryptoki.Convert("C_UnwrapKey", err)
	})
	if err != nil {
		return 0, err
	}
	if err := s.unwrapped(o, r); err != nil {
		return 0, cmp.Or(s.destroy(o), err)
	}
	return o, nil
}

// unwrapped checks a key from a ciphertext. A private key is checked against the rules
// for imported keys. A symmetric key must compute a result, because some tokens check its
// length only then. An error of the token at that point is attributed to the ciphertext,
// unless it may be temporary.
func (s Session) unwrapped(o p11.ObjectHandle, r KeyRequest) error {
	f, err := s.inspect(o, r)
	if err != nil {
		return err
	}
	switch {
	case !r.Shape.Secret():
		err = s.acceptable(o, r, f)
	case r.Shape.Spec.Algorithm == innerAES:
		f.sized, err = s.innerSized(o)
	case f.sized:
		err = s.ObjectAt(o, r).Verify(s, Reference{})
	}
	if rv := cryptoki.CodeOf(err); rv != p11.CKR_OK && isTokenFault(cryptoki.Classify(cryptoki.Check("C_UnwrapKey", rv))) {
		return cryptoki.Check("C_UnwrapKey", rv)
	}
	if errors.Is(err, cryptoki.ErrAbsent) { // a lost login hides the key
		return err
	}
	var refused *pkcs8.Error
	if errors.As(err, &refused) {
		return cryptoki.Fault("C_UnwrapKey", driver.Invalid, refused)
	}
	if !f.sized || err != nil {
		return cryptoki.Fault("C_UnwrapKey", driver.Authentic, cryptoki.ErrCiphertext)
	}
	return nil
}

// acceptable checks an unwrapped private key against the rules for imported keys, as far
// as the token reveals it: its public key must be acceptable, and a result of the private
// key must match it. The error, a *pkcs8.Error, may say what is wrong, because the
// wrapping was authenticated.
func (s Session) acceptable(o p11.ObjectHandle, r KeyRequest, f Facts) error {
	var public crypto.PublicKey
	var err error
	if r.Shape.Kind == p11.CKK_RSA {
		public, err = s.acceptableRSA(o, r)
	} else {
		public, err = s.acceptableCurve(o, r, f)
	}
	if err != nil {
		return err
	}
	err = s.ObjectAt(o, r).Verify(s, Reference{Public: public})
	if rv := cryptoki.CodeOf(err); err == nil || errors.Is(err, cryptoki.ErrAbsent) || rv != p11.CKR_OK && isTokenFault(cryptoki.Classify(cryptoki.Check("C_UnwrapKey", rv))) {
		return err
	}
	return &pkcs8.Error{Fault: "the parts of the private key contradict each other: what it computes does not fit its public half",
		Remedy: "export the key again from where it was made"}
}

// acceptableRSA returns the public key of an RSA key, if it is acceptable.
func (s Session) acceptableRSA(o p11.ObjectHandle, r KeyRequest) (crypto.PublicKey, error) {
	n, e, err := s.rsaNumbers(o)
	if err != nil {
		return nil, err
	}
	if err := pkcs8.CheckRSA(r.Shape.Spec.Algorithm, n, e); err != nil {
		return nil, err
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// acceptableCurve returns the public key of a key on a curve, if it is acceptable.
func (s Session) acceptableCurve(o p11.ObjectHandle, r KeyRequest, f Facts) (crypto.PublicKey, error) {
	if !f.sized {
		return nil, &pkcs8.Error{Fault: "the private key is not on the curve of the CMK, " + string(r.Shape.Spec.Algorithm),
			Remedy: "make a CMK of the key's spec for it, or bring another key"}
	}
	public, err := s.Public(o, r)
	if err != nil {
		return nil, err
	}
	if key, ok := public.(*ecdsa.PublicKey); ok {
		err = pkcs8.CheckEC(key)
	}
	return public, err
}

// innerSized reports whether the AES key between the two steps has a valid length, or one
// that the token does not report.
func (s Session) innerSized(o p11.ObjectHandle) (bool, error) {
	value, err := s.Attribute(o, p11.CKA_VALUE_LEN)
	size, reported := cryptoki.ParseUlong(value)
	return !reported || size == 0 || size == 16 || size == 24 || size == 32, err
}

// isTokenFault reports whether an error is about the token, and not about its input.
func isTokenFault(v cryptoki.Classification) bool {
	return v.Recovery != cryptoki.None || v.Class == driver.Throttled || v.Class == driver.Denied
}
