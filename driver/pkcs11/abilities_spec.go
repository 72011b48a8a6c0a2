//go:build cgo && unix

package pkcs11

import (
	"crypto/rand"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// trySecret tests a symmetric spec: generation in the token, and import from the host.
func (x *examination) trySecret(spec driver.KeySpec) {
	k, works := x.fresh(spec.String(), spec, func(k trialKey) error { return k.answers(x.session, reference{}) })
	defer k.done()
	if !works {
		return
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	row := driver.SpecInfo{Spec: spec, Resident: true}
	row.Import = x.try(spec.String()+" import", func() error { return x.tryImport(spec, secret) })
	x.specs = append(x.specs, row)
}

// tryImport imports material and uses the key.
func (x *examination) tryImport(spec driver.KeySpec, in []byte) error {
	sh, _ := x.profile.shapeOf(spec)
	m, err := sh.parse(in)
	if err != nil {
		return err
	}
	defer m.forget()
	r := x.request(sh)
	handle, err := x.place(r, m.values)
	if err != nil {
		return err
	}
	defer x.sweep(r.id)
	if _, err := x.fitting(handle, r, false); err != nil {
		return err
	}
	return x.at(handle, r).answers(x.session, m.reference)
}

// tryCurve tests signatures with a key on a curve.
func (x *examination) tryCurve(spec driver.KeySpec) {
	k, works := x.fresh(spec.String(), spec, func(k trialKey) error { return k.answers(x.session, reference{public: k.public}) })
	defer k.done()
	if !works {
		return
	}
	row := driver.SpecInfo{Spec: spec, Resident: true, Sign: signAlgs(k.shape)}
	row.Import = x.try(spec.String()+" import", func() error {
		in, err := freshPKCS8(spec.Algorithm)
		if err != nil {
			return err
		}
		defer suite.Wipe(in)
		return x.tryImport(spec, in)
	})
	x.specs = append(x.specs, row)
}
