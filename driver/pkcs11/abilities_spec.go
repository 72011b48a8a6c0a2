//go:build cgo && unix

package pkcs11

import (
	"crypto/rand"

	"strongroom.example/driver"
)

// trySecret tries a symmetric spec: made in the token, and taken from the host.
func (x *examination) trySecret(spec driver.KeySpec) {
	o, _, done, err := x.fresh(spec)
	defer done()
	if err == nil {
		err = x.answers(o, reference{})
	}
	if !x.note(spec.String(), err) {
		return
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	row := driver.SpecInfo{Spec: spec, Resident: true}
	row.Import = x.note(spec.String()+" import", x.tryImport(spec, secret))
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
	o, public, done, err := x.fresh(spec)
	defer done()
	if err == nil {
		err = x.answers(o, reference{public: public})
	}
	if !x.note(spec.String(), err) {
		return
	}
	row := driver.SpecInfo{Spec: spec, Resident: true, Sign: signAlgs(o.shape)}
	in, err := freshPKCS8(spec.Algorithm)
	if err == nil {
		err = x.tryImport(spec, in)
	}
	row.Import = x.note(spec.String()+" import", err)
	x.specs = append(x.specs, row)
}
