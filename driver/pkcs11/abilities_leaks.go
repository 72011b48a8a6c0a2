//go:build cgo && unix

package pkcs11

import (
	"errors"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

var (
	errReads = errors.New("it does: a sensitive key can be read")
	errWraps = errors.New("it does: a key that is not extractable can be wrapped")
)

// tryLeaks tries to get a key out that must not come out. A token that gives it is
// no better than software.
func (x *examination) tryLeaks() {
	k, err := x.make(driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive})
	defer k.done()
	if err != nil {
		return
	}
	key := k.at.Load().handle
	var reads error
	if value, err := x.attribute(key, p11.CKA_VALUE); err == nil && len(value) > 0 {
		reads = errReads
	}
	kept := x.note("keeps a sensitive key from being read", reads)
	x.leaks = !x.note("keeps a key from being wrapped", x.wraps(key)) || !kept
}

// wraps tries to wrap a key under one made for it, and returns errWraps if it can.
func (x *examination) wraps(key p11.ObjectHandle) error {
	t := template{flag(p11.CKA_TOKEN, x.profile.noSessionObjects), raw(p11.CKA_LABEL, []byte(trialLabel)), number(p11.CKA_VALUE_LEN, 32), yes(p11.CKA_WRAP), yes(p11.CKA_UNWRAP), yes(p11.CKA_SENSITIVE)}
	with, err := x.mod.ctx.GenerateKey(x.handle, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_KEY_GEN, nil)}, t.attributes())
	if err != nil {
		return nil // then nothing can be wrapped this way
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
