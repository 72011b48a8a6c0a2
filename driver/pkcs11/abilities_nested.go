//go:build cgo && unix

package pkcs11

import (
	"crypto/rsa"
	"errors"
	"slices"
	"strings"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

var (
	errLeftOut = errors.New("left out by the configuration")
	errDied    = errors.New("the token failed when it was tried before")
	errGateway = errors.New("not tried: the module is not of the token's maker, and may pass calls on to another process")
)

// A trialError is a failure that ended the self-test, with the ability that was being
// tried.
type trialError struct {
	ability string
	err     error
}

func (e *trialError) Error() string {
	return e.err.Error() + " when the self-test tried " + e.ability + ", which Config.Without can leave out"
}

func (e *trialError) Unwrap() error { return e.err }

// tryNested tests whether the token supports CKA_UNWRAP_TEMPLATE, and which wrapped keys
// can still be imported with it; the others are no longer offered. It is the last trial,
// because some tokens fail permanently in it. In such a case this process does not try it
// on that token again.
func (x *examination) tryNested() {
	const ability = "takes a template for what is unwrapped"
	tiers := x.epoch.tiers
	switch {
	case !slices.ContainsFunc(x.specs, func(row driver.SpecInfo) bool { return len(row.WrappedImport) > 0 }):
		return
	case x.profile.without(AbilityUnwrapTemplate):
		x.note(ability, errLeftOut)
		return
	case !sameMaker(x.mod.info.Manufacturer, x.epoch.info):
		x.note(ability, errGateway)
		return
	case tiers.nestedDied.Swap(true):
		x.note(ability, errDied)
		return
	}
	doubtful := x.doubtful
	works := x.try(ability, x.tryNestedPair)
	x.doubtful = doubtful // a token without it is as useful
	tiers.nestedDied.Store(x.ended != nil)
	tiers.nested.Store(works)
}

// tryNestedPair makes a key pair with the attribute, and restricts every row to the
// import methods that work with it.
func (x *examination) tryNestedPair() error {
	sh, _ := x.profile.shapeOf(driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Unwrap})
	r := x.request(sh)
	r.nested = true
	handle, err := x.keys.generate(r)
	if err != nil {
		return err
	}
	defer x.sweep(r.id)
	if _, err := x.fitting(handle, r, false); err != nil {
		return err
	}
	public, err := x.public(handle, r)
	if err != nil {
		return err
	}
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return errTrial
	}
	u := unwrapping{with: x.at(handle, r), public: key, keyWrap: x.keyWrap}
	kept, any, err := make([][]driver.WrapAlg, len(x.specs)), false, error(nil)
	for i, row := range x.specs {
		if kept[i], err = x.keepWays(row, u); err != nil {
			return err
		}
		any = any || len(kept[i]) > 0
	}
	if !any {
		return errTrial
	}
	for i := range x.specs {
		x.specs[i].WrappedImport = kept[i]
	}
	return nil
}

// keepWays returns the import methods of a row that work. Larger RSA keys are not tested.
func (x *examination) keepWays(row driver.SpecInfo, u unwrapping) (ways []driver.WrapAlg, err error) {
	sh, _ := x.profile.shapeOf(row.Spec)
	if row.Spec.Algorithm == driver.RSA3072 || row.Spec.Algorithm == driver.RSA4096 {
		return row.WrappedImport, nil
	}
	for _, u.alg = range row.WrappedImport {
		switch err := x.tryUnwrapping(sh, u); {
		case err == nil:
			ways = append(ways, u.alg)
		case passes(err):
			return nil, err
		}
	}
	return ways, nil
}

// sameMaker reports whether the module's manufacturer is the token's.
func sameMaker(module string, token p11.TokenInfo) bool {
	maker := trim(token.ManufacturerID)
	return module != "" && maker != "" && (strings.HasPrefix(maker, module) || strings.HasPrefix(module, maker))
}
