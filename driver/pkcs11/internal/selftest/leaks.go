//go:build cgo && unix

package selftest

import (
	"errors"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/object"
	"strongroom.example/internal/suite"
)

var (
	errReads = errors.New("the token exposes a sensitive key")
	errWraps = errors.New("the token wraps a key that is not extractable")
)

// tryLeaks tries to read and wrap keys that must not leave the token. A token from which
// that succeeds gets the protection level of software.
func (x *run) tryLeaks() {
	x.tryLeaksOf("sensitive key", []driver.KeySpec{{Algorithm: driver.HMACSHA256, Usage: driver.Derive}})
	x.tryLeaksOf("private key", []driver.KeySpec{
		{Algorithm: driver.ECP256, Usage: driver.Sign}, {Algorithm: driver.RSA2048, Usage: driver.Sign}, {Algorithm: driver.RSA2048, Usage: driver.Decrypt},
	})
}

// tryLeaksOf tries a key of the first of the specs that the token supports.
func (x *run) tryLeaksOf(what string, specs []driver.KeySpec) {
	i := slices.IndexFunc(specs, x.offers)
	if i < 0 {
		return
	}
	var tried bool
	var wraps error
	k, kept := x.withNewKey("keeps a "+what+" from being read", specs[i], func(k trialKey) error {
		key := k.LastHandle()
		tried, wraps = true, x.wraps(key)
		return x.reads(key)
	})
	defer k.done()
	if tried {
		x.Leaks = !x.record("keeps a "+what+" from being wrapped", wraps) || !kept || x.Leaks
	}
}

func (x *run) offers(spec driver.KeySpec) bool {
	return slices.ContainsFunc(x.Specs, func(row driver.SpecInfo) bool { return row.Spec == spec })
}

// reads tries to read the secret attributes of a key, and returns errReads if it can.
func (x *run) reads(key p11.ObjectHandle) error {
	for _, kind := range []uint{p11.CKA_VALUE, p11.CKA_PRIVATE_EXPONENT, p11.CKA_PRIME_1} {
		value, err := x.Attribute(key, kind)
		defer suite.Wipe(value)
		if err == nil && len(value) > 0 {
			return errReads
		}
	}
	return nil
}

// wraps tries to wrap a key under a key made for this purpose, and returns errWraps if it
// can.
func (x *run) wraps(key p11.ObjectHandle) error {
	t := cryptoki.Template{cryptoki.Bool(p11.CKA_TOKEN, x.profile.NoSessionObjects), cryptoki.Bytes(p11.CKA_LABEL, []byte(trialLabel)), cryptoki.Ulong(p11.CKA_VALUE_LEN, 32), cryptoki.True(p11.CKA_WRAP), cryptoki.True(p11.CKA_UNWRAP), cryptoki.True(p11.CKA_SENSITIVE)}
	with, err := x.Lib.Ctx.GenerateKey(x.Handle, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_KEY_GEN, nil)}, t.Attributes())
	if err != nil {
		return nil // without a wrapping key, this cannot be tested
	}
	defer x.Lib.Ctx.DestroyObject(x.Handle, with)
	for mechanism, iv := range map[uint][]byte{
		p11.CKM_AES_KEY_WRAP: nil, p11.CKM_AES_KEY_WRAP_PAD: nil, object.CKMAESKeyWrapKWP: nil, p11.CKM_AES_CBC_PAD: make([]byte, 16),
	} {
		if _, err := x.Lib.Ctx.WrapKey(x.Handle, []*p11.Mechanism{p11.NewMechanism(mechanism, iv)}, with, key); err == nil {
			return errWraps
		}
	}
	return nil
}
