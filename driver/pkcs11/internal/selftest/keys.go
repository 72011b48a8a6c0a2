//go:build cgo && unix

package selftest

import (
	"crypto"
	"crypto/rand"
	"errors"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/object"
	"strongroom.example/internal/suite"
)

var errNotListed = errors.New("the token does not list the mechanisms")

// A trialKey is a key of the self-test, with its public key.
type trialKey struct {
	*object.Object
	public crypto.PublicKey
	done   func() // destroys the key; remaining session objects end with the session
}

// withNewKey makes a key for the self-test and runs trial with it. The caller calls k.done.
func (x *run) withNewKey(ability string, spec driver.KeySpec, trial func(trialKey) error) (k trialKey, works bool) {
	k.done = func() {}
	works = x.try(ability, func() (err error) {
		if k, err = x.newKey(spec); err == nil {
			err = trial(k)
		}
		if err != nil {
			k.done()
		}
		return err
	})
	return k, works
}

// noop is the trial of a key that is only created; later trials use it.
func noop(trialKey) error { return nil }

// newRequest returns the request for a key of the self-test.
func (x *run) newRequest(sh object.Shape) object.KeyRequest {
	sh.Name = trialLabel
	r := object.KeyRequest{Shape: sh, Persistent: x.profile.NoSessionObjects, Trial: true}
	rand.Read(r.ID[:])
	return r
}

func (x *run) newKey(spec driver.KeySpec) (trialKey, error) {
	k := trialKey{done: func() {}}
	if x.profile.Without(string(spec.Algorithm)) {
		return k, errLeftOut
	}
	sh, ok := x.profile.ShapeOf(spec)
	if !ok || !x.listed[sh.Generate] || !slices.ContainsFunc(sh.Mechanisms, func(m uint) bool { return x.listed[m] }) {
		return k, errNotListed
	}
	r := x.newRequest(sh)
	handle, err := x.keys.Generate(r)
	if err != nil {
		return k, err
	}
	k.Object, k.done = x.ObjectAt(handle, r), func() { x.DestroyByID(r.ID) }
	f, err := x.CheckNew(handle, r, false)
	if err != nil {
		return k, err
	}
	x.learnOrigin(sh.Class, f)
	k.public, err = x.Public(handle, r)
	return k, err
}

// learnOrigin keeps, for a class, the origin attributes that the token sets on all keys
// that it generated.
func (x *run) learnOrigin(class uint, f object.Facts) {
	before, known := x.Origin[class]
	if !known {
		before = object.OriginAttributes()
	}
	reported := []string{}
	for _, name := range before {
		if f.Attributes[name] == "true" {
			reported = append(reported, name)
		}
	}
	x.Origin[class] = reported
}

// trySecret tests a symmetric spec: generation in the token, and import from the host.
func (x *run) trySecret(spec driver.KeySpec) {
	k, works := x.withNewKey(spec.String(), spec, func(k trialKey) error { return k.Verify(x.Session, object.Reference{}) })
	defer k.done()
	if !works {
		return
	}
	secret := make([]byte, spec.Algorithm.MACSize())
	rand.Read(secret)
	row := driver.SpecInfo{Spec: spec, Resident: true}
	row.Import = x.try(spec.String()+" import", func() error { return x.tryImport(spec, secret) })
	x.Specs = append(x.Specs, row)
}

// tryImport imports material and uses the key.
func (x *run) tryImport(spec driver.KeySpec, in []byte) error {
	sh, _ := x.profile.ShapeOf(spec)
	m, err := sh.Parse(in)
	if err != nil {
		return err
	}
	defer m.Wipe()
	r := x.newRequest(sh)
	handle, err := x.CreateObject(r, m.Values)
	if err != nil {
		return err
	}
	defer x.DestroyByID(r.ID)
	if _, err := x.CheckNew(handle, r, false); err != nil {
		return err
	}
	return x.ObjectAt(handle, r).Verify(x.Session, m.Reference)
}

// tryCurve tests signatures with a key on a curve.
func (x *run) tryCurve(spec driver.KeySpec) {
	k, works := x.withNewKey(spec.String(), spec, func(k trialKey) error { return k.Verify(x.Session, object.Reference{Public: k.public}) })
	defer k.done()
	if !works {
		return
	}
	row := driver.SpecInfo{Spec: spec, Resident: true, Sign: k.Shape.Spec.Algorithm.SignAlgs()}
	row.Import = x.try(spec.String()+" import", func() error {
		in, err := freshPKCS8(spec.Algorithm)
		if err != nil {
			return err
		}
		defer suite.Wipe(in)
		return x.tryImport(spec, in)
	})
	x.Specs = append(x.Specs, row)
}
