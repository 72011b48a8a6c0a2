//go:build cgo && unix

package pkcs11

import (
	"crypto"
	"crypto/rand"
	"errors"
	"slices"

	"strongroom.example/driver"
)

var errNotListed = errors.New("the token does not list the mechanisms")

// A trialKey is a key of the examination, with its public key.
type trialKey struct {
	*object
	public crypto.PublicKey
	done   func() // destroys the key; remaining session objects end with the session
}

// fresh makes a key for the examination and runs trial with it. The caller calls k.done.
func (x *examination) fresh(ability string, spec driver.KeySpec, trial func(trialKey) error) (k trialKey, works bool) {
	k.done = func() {}
	works = x.try(ability, func() (err error) {
		if k, err = x.make(spec); err == nil {
			err = trial(k)
		}
		if err != nil {
			k.done()
		}
		return err
	})
	return k, works
}

// exists is the trial of a key that is only created; later trials use it.
func exists(trialKey) error { return nil }

// request returns the request for a key of the examination.
func (x *examination) request(sh shape) request {
	sh.name = trialLabel
	r := request{shape: sh, persistent: x.profile.noSessionObjects, deviceIV: x.profile.deviceIV, trial: true}
	rand.Read(r.id[:])
	return r
}

func (x *examination) make(spec driver.KeySpec) (trialKey, error) {
	k := trialKey{done: func() {}}
	if x.profile.without(Ability(spec.Algorithm)) {
		return k, errLeftOut
	}
	sh, ok := x.profile.shapeOf(spec)
	if !ok || !x.listed[sh.generate] || !slices.ContainsFunc(sh.mechanisms, func(m uint) bool { return x.listed[m] }) {
		return k, errNotListed
	}
	r := x.request(sh)
	handle, err := x.keys.generate(r)
	if err != nil {
		return k, err
	}
	k.object, k.done = x.at(handle, r), func() { x.sweep(r.id) }
	f, err := x.fitting(handle, r, false)
	if err != nil {
		return k, err
	}
	x.learnOrigin(sh.class, f)
	k.public, err = x.public(handle, r)
	return k, err
}

// learnOrigin keeps, for a class, the origin attributes that the token sets on all keys
// that it generated.
func (x *examination) learnOrigin(class uint, f facts) {
	before, known := x.origin[class]
	if !known {
		before = originAttributes()
	}
	told := []string{}
	for _, name := range before {
		if f.told[name] == "true" {
			told = append(told, name)
		}
	}
	x.origin[class] = told
}
