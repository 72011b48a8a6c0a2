//go:build cgo && unix

package pkcs11

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/pkcs8"
)

// An unwrapKey is an RSA private key that can only unwrap other keys.
type unwrapKey struct {
	*handle
	public *rsa.PublicKey
}

// GenerateWrappingKey makes an RSA key pair with usage Unwrap in the token.
func (d *Driver) GenerateWrappingKey(ctx context.Context, id driver.MaterialID, alg driver.KeyAlgorithm) (driver.Created, error) {
	if !hasDeadline(ctx) {
		return d.generateWrappingKey(ctx, id, alg)
	}
	return bounded(ctx, func() (driver.Created, error) { return d.generateWrappingKey(ctx, id, alg) }, keep)
}

func (d *Driver) generateWrappingKey(ctx context.Context, id driver.MaterialID, alg driver.KeyAlgorithm) (driver.Created, error) {
	sh, err := d.enterFor(ctx, "GenerateWrappingKey", driver.KeySpec{Algorithm: alg, Usage: driver.Unwrap})
	if err != nil {
		return driver.Created{}, err
	}
	defer d.gate.Leave()
	return d.make(ctx, d.generated(sh, id), session.generate)
}

// ImportWrapped unwraps material in the token, so that it is never in the host's memory.
// If the token has a key under id, ImportWrapped checks its attributes and returns it,
// and ignores the ciphertext. Symmetric material of another length is Authentic; OAEP is
// offered only if the token checks the length. With AES key wrapping, some tokens accept
// HMAC material of 25 to 31 bytes and pad it with zeros, which gives the same HMAC key.
//
// Of a private key the token reveals only the public key. That is checked against the
// rules for imported keys (internal/pkcs8), and a result of the private key must match
// it; otherwise the key is destroyed, and the error is Invalid with the cause. Encoding
// faults that the token ignores are not detected: trailing bytes, or another key's public
// key or identifier. The public key of an ECDSA key is the one that verifies the token's
// signatures, whatever the PKCS #8 file contains in that place.
func (d *Driver) ImportWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
	if !hasDeadline(ctx) {
		return d.importWrapped(ctx, id, spec, w)
	}
	w.Ciphertext = slices.Clone(w.Ciphertext)
	return bounded(ctx, func() (driver.Created, error) { return d.importWrapped(ctx, id, spec, w) }, keep)
}

func (d *Driver) importWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
	const op = "ImportWrapped"
	sh, err := d.enterFor(ctx, op, spec)
	if err != nil {
		return driver.Created{}, err
	}
	defer d.gate.Leave()
	row, _ := d.info.Find(spec)
	if !slices.Contains(row.WrappedImport, w.Alg) {
		return driver.Created{}, fault(op, driver.Unsupported, errAlgorithm)
	}
	with, ok := w.With.(*unwrapKey)
	if !ok || with.driver != d {
		return driver.Created{}, fault(op, driver.Invalid, errors.New("the wrapping key is not one of this driver"))
	}
	if err := with.enter(ctx, op); err != nil {
		return driver.Created{}, err
	}
	defer with.leave()
	u := unwrapping{with.object, with.public, d.able.keyWrap, w.Alg, w.Ciphertext}
	if !u.sized(sh) {
		return driver.Created{}, fault("C_UnwrapKey", driver.Authentic, errCiphertext)
	}
	return d.make(ctx, d.lasting(sh, id), u.unwrap)
}

// An unwrapping is wrapped material with the key that unwraps it.
type unwrapping struct {
	with       *object
	public     *rsa.PublicKey
	keyWrap    uint
	alg        driver.WrapAlg
	ciphertext []byte
}

// sized reports whether the ciphertext has a valid length.
func (u unwrapping) sized(sh shape) bool {
	n := u.public.Size()
	if !u.alg.TwoSteps() {
		return belowModulus(u.ciphertext, u.public)
	}
	if len(u.ciphertext) < n+16 || len(u.ciphertext)%8 != 0 || !belowModulus(u.ciphertext[:n], u.public) {
		return false
	}
	return !sh.secret() || len(u.ciphertext)-n == int(sh.size)+8
}

// unwrap makes the key. A blob of RSA_AES_KEY_WRAP is unwrapped in two steps, because few
// tokens support the mechanism: first an AES key that may only unwrap, and then the
// material under it.
func (u unwrapping) unwrap(s session, r request) (p11.ObjectHandle, error) {
	with, err := u.with.handle(s)
	if err != nil {
		return 0, err
	}
	oaep := p11.NewMechanism(p11.CKM_RSA_PKCS_OAEP, u.oaep())
	if !u.alg.TwoSteps() {
		o, err := s.unwrapInto(r, oaep, with, u.ciphertext)
		return o, u.with.note(err)
	}
	n := u.public.Size()
	inner, err := s.unwrapInto(innerRequest(u.keyWrap), oaep, with, u.ciphertext[:n])
	if err != nil {
		return 0, u.with.note(err)
	}
	defer s.mod.ctx.DestroyObject(s.handle, inner) // it ends with the session in any case
	return s.unwrapInto(r, p11.NewMechanism(u.keyWrap, nil), inner, u.ciphertext[n:])
}

// sha256Wraps reports whether OAEP uses SHA-256, and not SHA-1.
func sha256Wraps(alg driver.WrapAlg) bool {
	return alg == driver.WrapRSAOAEPSHA256 || alg == driver.WrapRSAAESKWPSHA256
}

func (u unwrapping) oaep() *p11.OAEPParams {
	if sha256Wraps(u.alg) {
		return p11.NewOAEPParams(p11.CKM_SHA256, p11.CKG_MGF1_SHA256, p11.CKZ_DATA_SPECIFIED, nil)
	}
	return p11.NewOAEPParams(p11.CKM_SHA_1, p11.CKG_MGF1_SHA1, p11.CKZ_DATA_SPECIFIED, nil)
}

// innerAES is the algorithm of the AES key between the two steps, of 16, 24 or 32 bytes.
const innerAES driver.KeyAlgorithm = "AES"

// innerRequest returns the request for the AES key between the two steps: a session key
// that may only unwrap.
func innerRequest(mechanism uint) request {
	r := request{shape: shape{
		spec:  driver.KeySpec{Algorithm: innerAES, Usage: driver.Unwrap},
		class: p11.CKO_SECRET_KEY, kind: p11.CKK_AES, size: 32,
		roles: []uint{p11.CKA_UNWRAP}, mechanisms: []uint{mechanism},
	}}
	rand.Read(r.id[:])
	return r
}

// unwrapInto unwraps a key in the token and checks the new object.
func (s session) unwrapInto(r request, m *p11.Mechanism, with p11.ObjectHandle, ciphertext []byte) (p11.ObjectHandle, error) {
	o, err := s.inTiers("unwrap", r, func(tier int) (p11.ObjectHandle, error) {
		o, err := s.mod.ctx.UnwrapKey(s.handle, []*p11.Mechanism{m}, with, ciphertext, r.protected(tier).attributes())
		return o, from("C_UnwrapKey", err)
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
func (s session) unwrapped(o p11.ObjectHandle, r request) error {
	f, err := s.inspect(o, r)
	if err != nil {
		return err
	}
	switch {
	case !r.shape.secret():
		err = s.acceptable(o, r, f)
	case r.shape.spec.Algorithm == innerAES:
		f.sized, err = s.innerSized(o)
	case f.sized:
		err = s.at(o, r).answers(s, reference{})
	}
	if rv := codeOf(err); rv != p11.CKR_OK && spared(judge(code("C_UnwrapKey", rv))) {
		return code("C_UnwrapKey", rv)
	}
	if errors.Is(err, errAbsent) { // a lost login hides the key
		return err
	}
	var refused *pkcs8.Error
	if errors.As(err, &refused) {
		return fault("C_UnwrapKey", driver.Invalid, refused)
	}
	if !f.sized || err != nil {
		return fault("C_UnwrapKey", driver.Authentic, errCiphertext)
	}
	return nil
}

// acceptable checks an unwrapped private key against the rules for imported keys, as far
// as the token reveals it: its public key must be acceptable, and a result of the private
// key must match it. The error, a *pkcs8.Error, may say what is wrong, because the
// wrapping was authenticated.
func (s session) acceptable(o p11.ObjectHandle, r request, f facts) error {
	var public crypto.PublicKey
	var err error
	if r.shape.kind == p11.CKK_RSA {
		public, err = s.acceptableRSA(o, r)
	} else {
		public, err = s.acceptableCurve(o, r, f)
	}
	if err != nil {
		return err
	}
	err = s.at(o, r).answers(s, reference{public: public})
	if rv := codeOf(err); err == nil || errors.Is(err, errAbsent) || rv != p11.CKR_OK && spared(judge(code("C_UnwrapKey", rv))) {
		return err
	}
	return &pkcs8.Error{Fault: "the parts of the private key contradict each other: what it computes does not fit its public half",
		Remedy: "export the key again from where it was made"}
}

// acceptableRSA returns the public key of an RSA key, if it is acceptable.
func (s session) acceptableRSA(o p11.ObjectHandle, r request) (crypto.PublicKey, error) {
	n, e, err := s.rsaNumbers(o)
	if err != nil {
		return nil, err
	}
	if err := pkcs8.CheckRSA(r.shape.spec.Algorithm, n, e); err != nil {
		return nil, err
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// acceptableCurve returns the public key of a key on a curve, if it is acceptable.
func (s session) acceptableCurve(o p11.ObjectHandle, r request, f facts) (crypto.PublicKey, error) {
	if !f.sized {
		return nil, &pkcs8.Error{Fault: "the private key is not on the curve of the CMK, " + string(r.shape.spec.Algorithm),
			Remedy: "make a CMK of the key's spec for it, or bring another key"}
	}
	public, err := s.public(o, r)
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
func (s session) innerSized(o p11.ObjectHandle) (bool, error) {
	value, err := s.attribute(o, p11.CKA_VALUE_LEN)
	size, told := unword(value)
	return !told || size == 0 || size == 16 || size == 24 || size == 32, err
}

// spared reports whether a verdict is about the token, and not about its input.
func spared(v verdict) bool {
	return v.cure != nothing || v.class == driver.Throttled || v.class == driver.Denied
}
