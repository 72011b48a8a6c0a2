//go:build cgo && unix

package selftest

import (
	"crypto/rsa"
	"errors"
	"slices"
	"strings"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/object"
)

var (
	errLeftOut = errors.New("left out by the configuration")
	errDied    = errors.New("the token failed when it was tried before")
	errGateway = errors.New("not tried: the module is not of the token's maker, and may pass calls on to another process")
)

// tryNested tests whether the token supports CKA_UNWRAP_TEMPLATE, and which wrapped keys
// can still be imported with it; the others are no longer offered. It is the last trial,
// because some tokens fail permanently in it. In such a case this process does not try it
// on that token again.
func (x *run) tryNested() {
	const ability = "takes a template for what is unwrapped"
	levels := x.Epoch.Levels
	switch {
	case !slices.ContainsFunc(x.Specs, func(row driver.SpecInfo) bool { return len(row.WrappedImport) > 0 }):
		return
	case x.profile.Without(unwrapTemplateAbility):
		x.record(ability, errLeftOut)
		return
	case !sameMaker(x.Lib.Info.Manufacturer, x.Epoch.Info):
		x.record(ability, errGateway)
		return
	case levels.NestedDied.Swap(true):
		x.record(ability, errDied)
		return
	}
	before := x.Inconclusive
	works := x.try(ability, x.tryNestedPair)
	x.Inconclusive = before // a token without it is as useful
	levels.NestedDied.Store(x.ended != nil)
	levels.Nested.Store(works)
}

// tryNestedPair makes a key pair with the attribute, and restricts every row to the
// import methods that work with it.
func (x *run) tryNestedPair() error {
	sh, _ := x.profile.ShapeOf(driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Unwrap})
	r := x.newRequest(sh)
	r.Nested = true
	handle, err := x.keys.Generate(r)
	if err != nil {
		return err
	}
	defer x.DestroyByID(r.ID)
	if _, err := x.CheckNew(handle, r, false); err != nil {
		return err
	}
	public, err := x.Public(handle, r)
	if err != nil {
		return err
	}
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return object.ErrWrongResult
	}
	u := object.Unwrapping{With: x.ObjectAt(handle, r), Public: key, KeyWrap: x.KeyWrap}
	kept, any, err := make([][]driver.WrapAlg, len(x.Specs)), false, error(nil)
	for i, row := range x.Specs {
		if kept[i], err = x.workingMethods(row, u); err != nil {
			return err
		}
		any = any || len(kept[i]) > 0
	}
	if !any {
		return object.ErrWrongResult
	}
	for i := range x.Specs {
		x.Specs[i].WrappedImport = kept[i]
	}
	return nil
}

// workingMethods returns the import methods of a row that work. Larger RSA keys are not
// tested.
func (x *run) workingMethods(row driver.SpecInfo, u object.Unwrapping) (ways []driver.WrapAlg, err error) {
	sh, _ := x.profile.ShapeOf(row.Spec)
	if row.Spec.Algorithm == driver.RSA3072 || row.Spec.Algorithm == driver.RSA4096 {
		return row.WrappedImport, nil
	}
	for _, u.Alg = range row.WrappedImport {
		switch err := x.tryUnwrapping(sh, u); {
		case err == nil:
			ways = append(ways, u.Alg)
		case isTransient(err):
			return nil, err
		}
	}
	return ways, nil
}

// sameMaker reports whether the module's manufacturer is the token's.
func sameMaker(module string, token p11.TokenInfo) bool {
	maker := cryptoki.TrimPadding(token.ManufacturerID)
	return module != "" && maker != "" && (strings.HasPrefix(maker, module) || strings.HasPrefix(module, maker))
}
