//go:build cgo && unix

package pkcs11

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
	"strongroom.example/internal/keywrap"
	"strongroom.example/internal/suite"
)

// tryUnwrap tests the import of wrapped keys by each method.
func (x *examination) tryUnwrap() {
	spec := driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Unwrap}
	if x.profile.without(AbilityWrappedImport) {
		x.note(spec.String(), errLeftOut)
		return
	}
	k, works := x.fresh(spec.String(), spec, exists)
	defer k.done()
	if !works {
		return
	}
	u := unwrapping{with: k.object, public: k.public.(*rsa.PublicKey)}
	known, any := make(map[driver.KeySpec][]driver.WrapAlg), false
	for i := range x.specs {
		row := &x.specs[i]
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
func (x *examination) unwrapsFor(spec driver.KeySpec, u unwrapping, known map[driver.KeySpec][]driver.WrapAlg) (ways []driver.WrapAlg) {
	sh, _ := x.profile.shapeOf(spec)
	like := spec
	if sh.kind == p11.CKK_RSA {
		like.Algorithm = driver.RSA2048
	}
	if ways, tried := known[like]; tried {
		return ways
	}
	for _, u.alg = range []driver.WrapAlg{driver.WrapRSAOAEPSHA1, driver.WrapRSAOAEPSHA256} {
		allowed := sha256Wraps(u.alg) || sha1Allowed()
		if sh.secret() && allowed && x.unwrapsBy(sh, u) {
			ways = append(ways, u.alg)
		}
	}
	for _, u.alg = range []driver.WrapAlg{driver.WrapRSAAESKWP, driver.WrapRSAAESKWPSHA256} {
		allowed := sha256Wraps(u.alg) || sha1Allowed()
		if sh.kind != ckkECEdwards && allowed && x.tryKeyWrap(sh, u) {
			ways = append(ways, u.alg)
		}
	}
	known[like] = ways
	return ways
}

// tryKeyWrap tests the mechanisms that may implement AES-KWP, and selects the one that
// does.
func (x *examination) tryKeyWrap(sh shape, u unwrapping) bool {
	for _, u.keyWrap = range []uint{ckmAESKeyWrapKWP, p11.CKM_AES_KEY_WRAP_PAD} {
		if (x.keyWrap == 0 || x.keyWrap == u.keyWrap) && x.listed[u.keyWrap] &&
			x.unwrapsBy(sh, u) {
			x.keyWrap = u.keyWrap
			return true
		}
	}
	return false
}

// unwrapsBy records whether keys of a shape can be imported by one method.
func (x *examination) unwrapsBy(sh shape, u unwrapping) bool {
	return x.try(sh.spec.String()+" from "+string(u.alg), func() error { return x.tryUnwrapping(sh, u) })
}

// sample returns material of a shape. The caller wipes it.
func (x *examination) sample(sh shape) ([]byte, error) {
	switch {
	case sh.secret():
		in := make([]byte, 32)
		rand.Read(in)
		return in, nil
	case sh.kind == p11.CKK_RSA:
		return slices.Clone(x.pair), nil // making one takes long
	}
	return freshPKCS8(sh.spec.Algorithm)
}

// tryUnwrapping wraps material in the host, unwraps it in the token and uses it. The
// public key of a private key must be available.
func (x *examination) tryUnwrapping(sh shape, u unwrapping) error {
	in, err := x.sample(sh)
	if err != nil {
		return err
	}
	defer suite.Wipe(in)
	m, err := sh.parse(in)
	if err != nil {
		return err
	}
	defer m.forget()
	if u.ciphertext, err = wrapFor(u, in); err != nil {
		return err
	}
	r := x.request(sh)
	handle, err := u.unwrap(x.session, r)
	if err != nil {
		return err
	}
	defer x.sweep(r.id)
	if _, err := x.fitting(handle, r, false); err != nil {
		return err
	}
	if told, err := x.public(handle, r); err != nil || !samePublic(told, m.public) {
		return errors.Join(errTrial, err)
	}
	if err := x.at(handle, r).answers(x.session, m.reference); err != nil {
		return err
	}
	return x.mindsLength(sh, u)
}

// samePublic compares public keys. Both may be nil.
func samePublic(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return a == nil && b == nil || ok && key.Equal(b)
}

// wrapFor wraps material as the owner of a key does before an import.
func wrapFor(u unwrapping, secret []byte) ([]byte, error) {
	var h hash.Hash = sha1.New()
	if sha256Wraps(u.alg) {
		h = sha256.New()
	}
	if !u.alg.TwoSteps() {
		return rsa.EncryptOAEP(h, rand.Reader, u.public, secret, nil)
	}
	inner := make([]byte, 32)
	rand.Read(inner)
	outer, err := rsa.EncryptOAEP(h, rand.Reader, u.public, inner, nil)
	if err != nil {
		return nil, err
	}
	return keywrap.Wrap(outer, inner, secret)
}
