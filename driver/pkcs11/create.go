//go:build cgo && unix

package pkcs11

import (
	"errors"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// A request is a key that is to be made: of a shape, under an id, for good or for
// the life of a session.
type request struct {
	shape      shape
	id         driver.MaterialID
	persistent bool
	deviceIV   bool // the token makes the ivs of AES-GCM
	trial      bool // of the self-test
	nested     bool // with CKA_UNWRAP_TEMPLATE; in a trial alone
	// origin are the attributes that a key which the token generated must have; see
	// abilities.
	origin []string
}

// protected are the attributes that every secret and private key has. Every role is
// set, since what is left out is true on some tokens. Class and type follow from the
// mechanism, and some tokens want to be told all the same.
func (r request) protected(tier int) template {
	t := template{
		number(p11.CKA_CLASS, r.shape.class), number(p11.CKA_KEY_TYPE, r.shape.kind),
		flag(p11.CKA_TOKEN, r.persistent), yes(p11.CKA_PRIVATE), yes(p11.CKA_SENSITIVE), no(p11.CKA_EXTRACTABLE),
		raw(p11.CKA_ID, r.id[:]), raw(p11.CKA_LABEL, r.shape.label(r.id)),
	}
	for _, role := range privateRoles(r.shape.secret()) {
		if tier < tierBare || role != p11.CKA_SIGN_RECOVER || !slices.Contains(r.shape.roles, p11.CKA_SIGN) {
			t = append(t, flag(role, slices.Contains(r.shape.roles, role)))
		}
	}
	if tier <= tierModifiable {
		t = append(t, no(p11.CKA_MODIFIABLE))
	}
	if tier <= tierCopyable {
		t = append(t, no(p11.CKA_COPYABLE))
	}
	if tier <= tierMechanisms {
		t = append(t, words(p11.CKA_ALLOWED_MECHANISMS, r.shape.mechanisms...))
	}
	return t
}

// public is the template of the public half, which stays in the token to be read.
func (r request) public(tier int) template {
	t := template{
		number(p11.CKA_CLASS, p11.CKO_PUBLIC_KEY), number(p11.CKA_KEY_TYPE, r.shape.kind), flag(p11.CKA_TOKEN, r.persistent),
		raw(p11.CKA_ID, r.id[:]), raw(p11.CKA_LABEL, r.shape.label(r.id)),
	}
	if r.shape.kind == p11.CKK_RSA {
		t = append(t, number(p11.CKA_MODULUS_BITS, r.shape.size), raw(p11.CKA_PUBLIC_EXPONENT, publicExponent()))
	} else {
		t = append(t, raw(p11.CKA_EC_PARAMS, r.shape.curve))
	}
	if tier < tierBare {
		t = append(t, no(p11.CKA_PRIVATE))
	}
	for _, role := range publicRoles() {
		if tier < tierBare || role != p11.CKA_VERIFY_RECOVER || !slices.Contains(r.shape.publicRoles, p11.CKA_VERIFY) {
			t = append(t, flag(role, slices.Contains(r.shape.publicRoles, role)))
		}
	}
	return t
}

// publicExponent is that of every RSA key that the token makes.
func publicExponent() []byte { return []byte{1, 0, 1} }

// generate has the token make the key.
func (s session) generate(r request) (p11.ObjectHandle, error) {
	mechanism := []*p11.Mechanism{p11.NewMechanism(r.shape.generate, nil)}
	return s.inTiers("generate", r, func(tier int) (p11.ObjectHandle, error) {
		if r.shape.secret() {
			t := append(r.protected(tier), number(p11.CKA_VALUE_LEN, r.shape.size))
			o, err := s.mod.ctx.GenerateKey(s.handle, mechanism, t.attributes())
			return o, from("C_GenerateKey", err)
		}
		private := r.protected(tier)
		if r.nested || !r.trial && r.shape.spec.Usage == driver.Unwrap && s.epoch.tiers.nested.Load() {
			unwrapped, free := nest(unwrappedTemplate())
			defer free()
			private = append(private, raw(p11.CKA_UNWRAP_TEMPLATE, unwrapped))
		}
		public, o, err := s.mod.ctx.GenerateKeyPair(s.handle, mechanism, r.public(tier).attributes(), private.attributes())
		if err != nil {
			return 0, from("C_GenerateKeyPair", err)
		}
		return o, s.keepPair(public, o, r)
	})
}

// unwrappedTemplate binds whoever unwraps with one of our keys, where the token knows
// CKA_UNWRAP_TEMPLATE. Without it a ciphertext that was taken in could be taken in
// again as a key that can be read, and the AES key of RSA_AES_KEY_WRAP as one that
// deciphers what is wrapped under it.
func unwrappedTemplate() template {
	return template{yes(p11.CKA_SENSITIVE), no(p11.CKA_EXTRACTABLE), no(p11.CKA_ENCRYPT), no(p11.CKA_DECRYPT), no(p11.CKA_WRAP)}
}

// place puts material into the token. The caller wipes the values.
func (s session) place(r request, values template) (p11.ObjectHandle, error) {
	return s.inTiers("place", r, func(tier int) (p11.ObjectHandle, error) {
		o, err := s.mod.create(uint(s.handle), slices.Concat(r.protected(tier), values))
		return p11.ObjectHandle(o), err
	})
}

// sweep destroys all that has an id.
func (s session) sweep(id driver.MaterialID) error {
	_, err := s.clear(template{raw(p11.CKA_ID, id[:])})
	return err
}

// clear destroys all that matches, and returns how much it was.
func (s session) clear(t template) (int, error) {
	found, err := s.find(t)
	for _, o := range found {
		if err := s.destroy(o); err != nil {
			return 0, err
		}
	}
	return len(found), err
}

var errPolicy = errors.New("the token made a key that is not what was asked for: it is not used")
