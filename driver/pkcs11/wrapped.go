//go:build cgo && unix

package pkcs11

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// An unwrapKey is an RSA private key that does nothing but unwrap other keys.
type unwrapKey struct {
	*handle
	public *rsa.PublicKey
}

// GenerateWrappingKey makes an RSA key pair of usage Unwrap in the token.
func (d *Driver) GenerateWrappingKey(ctx context.Context, id driver.MaterialID, alg driver.KeyAlgorithm) (driver.Created, error) {
	sh, err := d.enterFor(ctx, "GenerateWrappingKey", driver.KeySpec{Algorithm: alg, Usage: driver.Unwrap})
	if err != nil {
		return driver.Created{}, err
	}
	defer d.gate.Leave()
	return d.make(ctx, d.generated(sh, id), session.generate)
}

// ImportWrapped has the token unwrap material, so that the host never sees it. If
// the token has a key under id, that is returned after its attributes are checked,
// and the ciphertext is not looked at. Symmetric material of another length is
// Authentic; by OAEP it comes in only where the token sees to that. By AES key wrapping
// some tokens take HMAC material of 25 to 31 bytes as padded with zeros, which is the
// same HMAC key.
//
// The public half of an ECDSA key is what the token's signatures verify with, whatever
// the PKCS #8 has in that place.
func (d *Driver) ImportWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
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

// An unwrapping is wrapped material and the key that opens it.
type unwrapping struct {
	with       *object
	public     *rsa.PublicKey
	keyWrap    uint
	alg        driver.WrapAlg
	ciphertext []byte
}

// sized reports whether the ciphertext has a length that it can have.
func (u unwrapping) sized(sh shape) bool {
	n := u.public.Size()
	if u.alg != driver.WrapRSAAESKWP {
		return belowModulus(u.ciphertext, u.public)
	}
	if len(u.ciphertext) < n+16 || len(u.ciphertext)%8 != 0 || !belowModulus(u.ciphertext[:n], u.public) {
		return false
	}
	return !sh.secret() || len(u.ciphertext)-n == int(sh.size)+8
}

// unwrap makes the key. A blob of RSA_AES_KEY_WRAP is taken in two steps, since few
// tokens have the mechanism: an AES key that may only unwrap, and the material under
// it.
func (u unwrapping) unwrap(s session, r request) (p11.ObjectHandle, error) {
	with, err := u.with.handle(s)
	if err != nil {
		return 0, err
	}
	oaep := p11.NewMechanism(p11.CKM_RSA_PKCS_OAEP, u.oaep())
	if u.alg != driver.WrapRSAAESKWP {
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

func (u unwrapping) oaep() *p11.OAEPParams {
	if u.alg == driver.WrapRSAOAEPSHA256 {
		return p11.NewOAEPParams(p11.CKM_SHA256, p11.CKG_MGF1_SHA256, p11.CKZ_DATA_SPECIFIED, nil)
	}
	return p11.NewOAEPParams(p11.CKM_SHA_1, p11.CKG_MGF1_SHA1, p11.CKZ_DATA_SPECIFIED, nil)
}

// innerRequest is the AES key between the two steps: of the session, and for
// unwrapping alone.
func innerRequest(mechanism uint) request {
	r := request{shape: shape{
		spec:  driver.KeySpec{Algorithm: "AES", Usage: driver.Unwrap},
		class: p11.CKO_SECRET_KEY, kind: p11.CKK_AES, size: 32,
		roles: []uint{p11.CKA_UNWRAP}, mechanisms: []uint{mechanism},
	}}
	rand.Read(r.id[:])
	return r
}

// unwrapInto has the token unwrap a key and checks what it made.
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

// unwrapped checks what came out of a ciphertext. A key on a curve must sign, since it
// may be no number that a key can be, and a symmetric one must do its work, since some
// tokens look at its length only then. What the token says to that is said of the
// ciphertext, unless it may pass.
func (s session) unwrapped(o p11.ObjectHandle, r request) error {
	f, err := s.inspect(o, r)
	if err != nil {
		return err
	}
	switch {
	case f.sized && r.shape.kind == p11.CKK_EC:
		_, err = s.public(o, r)
	case f.sized && r.shape.secret():
		err = s.at(o, r).answers(s, reference{})
	}
	if rv := codeOf(err); rv != p11.CKR_OK && spared(judge(code("C_UnwrapKey", rv))) {
		return code("C_UnwrapKey", rv)
	}
	if errors.Is(err, errAbsent) { // a login that was lost hides the key
		return err
	}
	if !f.sized || err != nil {
		return fault("C_UnwrapKey", driver.Authentic, errCiphertext)
	}
	return nil
}

// spared reports whether a verdict is on the token, and not on what it was given.
func spared(v verdict) bool {
	return v.cure != nothing || v.class == driver.Throttled || v.class == driver.Denied
}
