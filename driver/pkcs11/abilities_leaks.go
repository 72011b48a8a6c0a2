//go:build cgo && unix

package pkcs11

import (
	"errors"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

var (
	errReads = errors.New("it does: a sensitive key can be read")
	errWraps = errors.New("it does: a key that is not extractable can be wrapped")
)

// tryLeaks tries to read and wrap keys that must not leave the token. A token from which
// that succeeds gets the protection level of software.
func (x *examination) tryLeaks() {
	x.tryLeaksOf("sensitive key", []driver.KeySpec{
		{Algorithm: driver.HMACSHA256, Usage: driver.Derive}, {Algorithm: driver.AES256GCM, Usage: driver.Seal},
	})
	x.tryLeaksOf("private key", []driver.KeySpec{
		{Algorithm: driver.ECP256, Usage: driver.Sign}, {Algorithm: driver.RSA2048, Usage: driver.Sign}, {Algorithm: driver.RSA2048, Usage: driver.Decrypt},
	})
}

// tryLeaksOf tries a key of the first of the specs that the token supports.
func (x *examination) tryLeaksOf(what string, specs []driver.KeySpec) {
	i := slices.IndexFunc(specs, x.offers)
	if i < 0 {
		return
	}
	var tried bool
	var wraps error
	k, kept := x.fresh("keeps a "+what+" from being read", specs[i], func(k trialKey) error {
		key := k.at.Load().handle
		tried, wraps = true, x.wraps(key)
		return x.reads(key)
	})
	defer k.done()
	if tried {
		x.leaks = !x.note("keeps a "+what+" from being wrapped", wraps) || !kept || x.leaks
	}
}

func (x *examination) offers(spec driver.KeySpec) bool {
	return slices.ContainsFunc(x.specs, func(row driver.SpecInfo) bool { return row.Spec == spec })
}

// reads tries to read the secret attributes of a key, and returns errReads if it can.
func (x *examination) reads(key p11.ObjectHandle) error {
	for _, kind := range []uint{p11.CKA_VALUE, p11.CKA_PRIVATE_EXPONENT, p11.CKA_PRIME_1} {
		value, err := x.attribute(key, kind)
		defer suite.Wipe(value)
		if err == nil && len(value) > 0 {
			return errReads
		}
	}
	return nil
}

// wraps tries to wrap a key under a key made for this purpose, and returns errWraps if it
// can.
func (x *examination) wraps(key p11.ObjectHandle) error {
	t := template{flag(p11.CKA_TOKEN, x.profile.noSessionObjects), raw(p11.CKA_LABEL, []byte(trialLabel)), number(p11.CKA_VALUE_LEN, 32), yes(p11.CKA_WRAP), yes(p11.CKA_UNWRAP), yes(p11.CKA_SENSITIVE)}
	with, err := x.mod.ctx.GenerateKey(x.handle, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_KEY_GEN, nil)}, t.attributes())
	if err != nil {
		return nil // without a wrapping key, this cannot be tested
	}
	defer x.mod.ctx.DestroyObject(x.handle, with)
	for mechanism, iv := range map[uint][]byte{
		p11.CKM_AES_KEY_WRAP: nil, p11.CKM_AES_KEY_WRAP_PAD: nil, ckmAESKeyWrapKWP: nil, p11.CKM_AES_CBC_PAD: make([]byte, 16),
	} {
		if _, err := x.mod.ctx.WrapKey(x.handle, []*p11.Mechanism{p11.NewMechanism(mechanism, iv)}, with, key); err == nil {
			return errWraps
		}
	}
	return nil
}
