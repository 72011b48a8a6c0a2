//go:build cgo && unix

package selftest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/object"
)

// tryRSA tests keys of 2048 bits. Larger keys, which take long to make, are assumed to
// work alike if the token's mechanism information allows their size.
func (x *run) tryRSA() {
	if !x.profile.Without(string(driver.RSA2048)) {
		var err error
		if x.pair, err = freshPKCS8(driver.RSA2048); err != nil {
			x.record("RSA", err)
			return
		}
	}
	x.trySignRSA(x.pair)
	x.tryDecryptRSA(x.pair)
}

// largerRSA adds a row for each RSA size that the token supports.
func (x *run) largerRSA(row driver.SpecInfo) {
	for _, alg := range []driver.KeyAlgorithm{driver.RSA2048, driver.RSA3072, driver.RSA4096} {
		row.Spec.Algorithm = alg
		if sh, ok := object.ShapeOf(row.Spec); ok && !x.profile.Without(string(alg)) && (sh.Size == 2048 || sh.Size <= x.largest) {
			x.Specs = append(x.Specs, row)
		}
	}
}

func (x *run) trySignRSA(in []byte) {
	spec := driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Sign}
	k, works := x.withNewKey(spec.String(), spec, noop)
	defer k.done()
	if !works {
		return
	}
	row := driver.SpecInfo{Spec: spec, Resident: true}
	for _, alg := range k.Shape.Spec.Algorithm.SignAlgs() {
		if x.try(spec.String()+" "+string(alg), func() error { return k.VerifySign(x.Session, alg, k.public) }) {
			row.Sign = append(row.Sign, alg)
		}
	}
	if len(row.Sign) == 0 {
		return
	}
	row.Import = x.try(spec.String()+" import", func() error { return x.tryImport(spec, in) })
	x.largerRSA(row)
}

func (x *run) tryDecryptRSA(in []byte) {
	spec := driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Decrypt}
	k, works := x.withNewKey(spec.String(), spec, noop)
	defer k.done()
	if !works {
		return
	}
	decrypts := func(alg driver.EncryptAlg, native bool) func() error {
		return func() error { return k.VerifyDecrypt(x.Session, alg, native, k.public) }
	}
	row := driver.SpecInfo{Spec: spec, Resident: true}
	raw := x.try(spec.String()+" "+string(driver.RSARaw), decrypts(driver.RSARaw, false))
	if raw {
		row.Decrypt = append(row.Decrypt, driver.RSARaw)
	}
	for _, alg := range []driver.EncryptAlg{driver.RSAOAEPSHA1, driver.RSAOAEPSHA256} {
		if alg == driver.RSAOAEPSHA1 && !object.SHA1Allowed() {
			continue
		}
		x.Native[alg] = x.try(spec.String()+" "+string(alg), decrypts(alg, true))
		if x.Native[alg] || raw && x.try(spec.String()+" "+string(alg)+" over raw RSA", decrypts(alg, false)) {
			row.Decrypt = append(row.Decrypt, alg)
		}
	}
	if len(row.Decrypt) == 0 {
		return
	}
	row.Import = x.try(spec.String()+" import", func() error { return x.tryImport(spec, in) })
	x.largerRSA(row)
}

// freshPKCS8 makes a key pair in the host. The caller wipes the result.
func freshPKCS8(alg driver.KeyAlgorithm) ([]byte, error) {
	var key crypto.PrivateKey
	var err error
	switch curve := alg.Curve(); {
	case alg == driver.Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case curve != nil:
		key, err = ecdsa.GenerateKey(curve, rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}
