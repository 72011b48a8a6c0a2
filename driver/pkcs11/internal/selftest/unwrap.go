//go:build cgo && unix

package selftest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"hash"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/object"
	"strongroom.example/internal/keywrap"
	"strongroom.example/internal/suite"
)

// tryUnwrap tests the import of wrapped keys by each method.
func (x *run) tryUnwrap() {
	spec := driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Unwrap}
	if x.profile.Without(wrappedImportAbility) {
		x.record(spec.String(), errLeftOut)
		return
	}
	k, works := x.withNewKey(spec.String(), spec, noop)
	defer k.done()
	if !works {
		return
	}
	u := object.Unwrapping{With: k.Object, Public: k.public.(*rsa.PublicKey)}
	known, any := make(map[driver.KeySpec][]driver.WrapAlg), false
	for i := range x.Specs {
		row := &x.Specs[i]
		row.WrappedImport = x.unwrapsFor(row.Spec, u, known)
		any = any || len(row.WrappedImport) > 0
	}
	if any {
		x.largerRSA(driver.SpecInfo{Spec: spec, Resident: true})
	}
}

// unwrapsFor returns the import methods that work for a spec, and caches them in known.
// Private keys are too long for OAEP. Larger RSA keys are assumed to unwrap like those of
// 2048 bits. Ed25519 is omitted, because the public key of an unwrapped private key
// cannot be determined.
func (x *run) unwrapsFor(spec driver.KeySpec, u object.Unwrapping, known map[driver.KeySpec][]driver.WrapAlg) (ways []driver.WrapAlg) {
	sh, _ := x.profile.ShapeOf(spec)
	like := spec
	if sh.Kind == p11.CKK_RSA {
		like.Algorithm = driver.RSA2048
	}
	if ways, tried := known[like]; tried {
		return ways
	}
	for _, u.Alg = range []driver.WrapAlg{driver.WrapRSAOAEPSHA1, driver.WrapRSAOAEPSHA256} {
		allowed := object.UsesSHA256(u.Alg) || object.SHA1Allowed()
		if sh.Secret() && allowed && x.unwrapsBy(sh, u) {
			ways = append(ways, u.Alg)
		}
	}
	for _, u.Alg = range []driver.WrapAlg{driver.WrapRSAAESKWP, driver.WrapRSAAESKWPSHA256} {
		allowed := object.UsesSHA256(u.Alg) || object.SHA1Allowed()
		if sh.Kind != object.CKKECEdwards && allowed && x.tryKeyWrap(sh, u) {
			ways = append(ways, u.Alg)
		}
	}
	known[like] = ways
	return ways
}

// tryKeyWrap tests the mechanisms that may implement AES-KWP, and selects the one that
// does.
func (x *run) tryKeyWrap(sh object.Shape, u object.Unwrapping) bool {
	for _, u.KeyWrap = range []uint{object.CKMAESKeyWrapKWP, p11.CKM_AES_KEY_WRAP_PAD} {
		if (x.KeyWrap == 0 || x.KeyWrap == u.KeyWrap) && x.listed[u.KeyWrap] &&
			x.unwrapsBy(sh, u) {
			x.KeyWrap = u.KeyWrap
			return true
		}
	}
	return false
}

// unwrapsBy records whether keys of a shape can be imported by one method.
func (x *run) unwrapsBy(sh object.Shape, u object.Unwrapping) bool {
	return x.try(sh.Spec.String()+" from "+string(u.Alg), func() error { return x.tryUnwrapping(sh, u) })
}

// sample returns material of a shape. The caller wipes it.
func (x *run) sample(sh object.Shape) ([]byte, error) {
	switch {
	case sh.Secret():
		in := make([]byte, sh.Size)
		rand.Read(in)
		return in, nil
	case sh.Kind == p11.CKK_RSA:
		return slices.Clone(x.pair), nil // making one takes long
	}
	return freshPKCS8(sh.Spec.Algorithm)
}

// tryUnwrapping wraps material in the host, unwraps it in the token and uses it. The
// public key of a private key must be available.
func (x *run) tryUnwrapping(sh object.Shape, u object.Unwrapping) error {
	in, err := x.sample(sh)
	if err != nil {
		return err
	}
	defer suite.Wipe(in)
	m, err := sh.Parse(in)
	if err != nil {
		return err
	}
	defer m.Wipe()
	if u.Ciphertext, err = wrapFor(u, in); err != nil {
		return err
	}
	r := x.newRequest(sh)
	handle, err := u.Unwrap(x.Session, r)
	if err != nil {
		return err
	}
	defer x.DestroyByID(r.ID)
	if _, err := x.CheckNew(handle, r, false); err != nil {
		return err
	}
	if reported, err := x.Public(handle, r); err != nil || !samePublic(reported, m.Public) {
		return errors.Join(object.ErrWrongResult, err)
	}
	if err := x.ObjectAt(handle, r).Verify(x.Session, m.Reference); err != nil {
		return err
	}
	return x.checksLength(sh, u)
}

// samePublic compares public keys. Both may be nil.
func samePublic(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return a == nil && b == nil || ok && key.Equal(b)
}

// wrapFor wraps material as the owner of a key does before an import.
func wrapFor(u object.Unwrapping, secret []byte) ([]byte, error) {
	var h hash.Hash = sha1.New()
	if object.UsesSHA256(u.Alg) {
		h = sha256.New()
	}
	if !u.Alg.TwoSteps() {
		return rsa.EncryptOAEP(h, rand.Reader, u.Public, secret, nil)
	}
	inner := make([]byte, 32)
	rand.Read(inner)
	outer, err := rsa.EncryptOAEP(h, rand.Reader, u.Public, inner, nil)
	if err != nil {
		return nil, err
	}
	return keywrap.Wrap(outer, inner, secret)
}

var errAnyLength = errors.New("the token accepts material of any length, and does not report the length")

// checksLength returns an error if the token accepts symmetric material whose length
// differs from the shape's. Under OAEP the token alone can check the length: a longer key
// would work in the token, and its owner's copy would not decrypt its ciphertexts
// elsewhere. With AES-KWP the length of the ciphertext shows it.
func (x *run) checksLength(sh object.Shape, u object.Unwrapping) error {
	if !sh.Secret() || u.Alg.TwoSteps() {
		return nil
	}
	in := make([]byte, sh.Size+1)
	defer suite.Wipe(in)
	rand.Read(in)
	var err error
	if u.Ciphertext, err = wrapFor(u, in); err != nil {
		return err
	}
	r := x.newRequest(sh)
	defer x.DestroyByID(r.ID)
	_, err = u.Unwrap(x.Session, r)
	if err == nil {
		return errAnyLength
	}
	if isTransient(err) {
		return err
	}
	return nil
}
