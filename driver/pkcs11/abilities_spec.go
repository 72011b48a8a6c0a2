//go:build cgo && unix

package pkcs11

import (
	"crypto/rand"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// trySecret tries a symmetric spec: made in the token, and taken from the host.
func (x *examination) trySecret(spec driver.KeySpec) {
	k, works := x.fresh(spec.String(), spec, func(k trialKey) error { return x.answers(k.object, reference{}) })
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

// answers is object.answers, with the iv of the token's profile.
func (x *examination) answers(o *object, ref reference) error {
	if o.shape.spec.Usage == driver.Seal {
		return o.answersGCM(x.session, x.profile.deviceIV, ref.secret)
	}
	return o.answers(x.session, ref)
}

// tryImport takes material in and uses it.
func (x *examination) tryImport(spec driver.KeySpec, in []byte) error {
	sh, _ := shapeOf(spec)
	m, err := sh.parse(in)
	if err != nil {
		return err
	}
	defer m.forget()
	r := request{shape: sh}
	rand.Read(r.id[:])
	handle, err := x.place(r, m.values)
	if err != nil {
		return err
	}
	defer x.sweep(r.id)
	if _, err := x.fitting(handle, r, false); err != nil {
		return err
	}
	return x.answers(x.at(handle, r), m.reference)
}

// tryCurve tries signatures on a curve.
func (x *examination) tryCurve(spec driver.KeySpec) {
	k, works := x.fresh(spec.String(), spec, func(k trialKey) error { return x.answers(k.object, reference{public: k.public}) })
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
