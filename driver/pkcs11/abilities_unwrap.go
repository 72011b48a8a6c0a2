//go:build cgo && unix

package pkcs11

import (
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"hash"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// tryUnwrap tries to take wrapped keys in, in each way that there is.
func (x *examination) tryUnwrap() {
	spec := driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Unwrap}
	o, public, done, err := x.fresh(spec)
	defer done()
	if !x.note(spec.String(), err) {
		return
	}
	key := public.(*rsa.PublicKey)
	any := false
	for i := range x.specs {
		row := &x.specs[i]
		if sh, _ := shapeOf(row.Spec); !sh.secret() {
			continue
		}
		row.WrappedImport = x.unwrapsFor(row.Spec, unwrapping{with: o, public: key})
		any = any || len(row.WrappedImport) > 0
	}
	if any {
		x.largerRSA(driver.SpecInfo{Spec: spec, Resident: true})
	}
}

// unwrapsFor lists the ways that work for a spec.
func (x *examination) unwrapsFor(spec driver.KeySpec, u unwrapping) (ways []driver.WrapAlg) {
	for _, u.alg = range []driver.WrapAlg{driver.WrapRSAOAEPSHA1, driver.WrapRSAOAEPSHA256} {
		if u.alg == driver.WrapRSAOAEPSHA1 && !sha1Allowed() {
			continue
		}
		if x.note(spec.String()+" from "+string(u.alg), x.tryUnwrapping(spec, u)) {
			ways = append(ways, u.alg)
		}
	}
	u.alg = driver.WrapRSAAESKWP
	if !sha1Allowed() {
		return ways
	}
	for _, u.keyWrap = range []uint{ckmAESKeyWrapKWP, p11.CKM_AES_KEY_WRAP_PAD} {
		if (x.keyWrap == 0 || x.keyWrap == u.keyWrap) && x.listed[u.keyWrap] &&
			x.note(spec.String()+" from "+string(u.alg), x.tryUnwrapping(spec, u)) {
			x.keyWrap = u.keyWrap
			return append(ways, u.alg)
		}
	}
	return ways
}

// tryUnwrapping wraps material in the host, unwraps it in the token and uses it.
func (x *examination) tryUnwrapping(spec driver.KeySpec, u unwrapping) error {
	secret := make([]byte, 32)
	rand.Read(secret)
	var err error
	if u.ciphertext, err = wrapFor(u, secret); err != nil {
		return err
	}
	sh, _ := shapeOf(spec)
	r := request{shape: sh}
	rand.Read(r.id[:])
	handle, err := u.unwrap(x.session, r)
	if err != nil {
		return err
	}
	defer x.sweep(r.id)
	if _, err := x.fitting(handle, r, false); err != nil {
		return err
	}
	return x.answers(x.at(handle, r), reference{secret: secret})
}

// wrapFor wraps 32 bytes as whoever brings a key does.
func wrapFor(u unwrapping, secret []byte) ([]byte, error) {
	var h hash.Hash = sha1.New()
	if u.alg == driver.WrapRSAOAEPSHA256 {
		h = sha256.New()
	}
	if u.alg != driver.WrapRSAAESKWP {
		return rsa.EncryptOAEP(h, rand.Reader, u.public, secret, nil)
	}
	inner := make([]byte, 32)
	rand.Read(inner)
	outer, err := rsa.EncryptOAEP(h, rand.Reader, u.public, inner, nil)
	if err != nil {
		return nil, err
	}
	wrapped, err := wrapPadded(inner, secret)
	return append(outer, wrapped...), err
}

// wrapPadded is AES-KWP (RFC 5649) of 32 bytes.
func wrapPadded(key, secret []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	out := append([]byte{0xA6, 0x59, 0x59, 0xA6, 0, 0, 0, byte(len(secret))}, secret...)
	var work [16]byte
	copy(work[:], out[:8])
	for step, n := byte(1), 0; n < 6; n++ {
		for at := 8; at < len(out); at += 8 {
			copy(work[8:], out[at:])
			block.Encrypt(work[:], work[:])
			work[7] ^= step
			copy(out[at:], work[8:])
			step++
		}
	}
	copy(out, work[:8])
	return out, nil
}
