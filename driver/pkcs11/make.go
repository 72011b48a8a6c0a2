//go:build cgo && unix

package pkcs11

import (
	"bytes"
	"crypto/x509"
	"errors"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// attempts is how often a key is made before the token counts as not following its
// template. SoftHSM 2.6.1 sometimes stores a new key without some of its attributes,
// including "sensitive", while other threads search for objects.
const attempts = 4

// makeOnce makes a key, unless an earlier attempt made it.
func (s session) makeOnce(r request, how func(session, request) (p11.ObjectHandle, error)) (driver.Created, error) {
	o, f, err := s.makeFitting(r, how)
	if err != nil {
		return driver.Created{}, err
	}
	return s.describe(o, r, f)
}

// makeFitting returns the existing key, or makes one with the requested attributes.
func (s session) makeFitting(r request, how func(session, request) (p11.ObjectHandle, error)) (o p11.ObjectHandle, f facts, err error) {
	for range attempts {
		var there bool
		if o, there, err = s.existing(r); err != nil {
			return 0, facts{}, err
		}
		if !there {
			o, err = how(s, r)
		}
		if err == nil {
			f, err = s.fitting(o, r, there)
		}
		if !errors.Is(err, errPolicy) {
			return o, f, err
		}
	}
	return 0, facts{}, err
}

// fitting checks a key against the request. A new key that does not match is destroyed;
// an existing one is not changed.
func (s session) fitting(o p11.ObjectHandle, r request, there bool) (facts, error) {
	f, err := s.inspect(o, r)
	if err == nil && f.fit {
		f.fit, err = s.named(o, r.id)
		f.fit = f.fit && f.generatedHere(r.origin)
	}
	switch {
	case err != nil:
		return facts{}, err
	case !f.fit && there:
		return facts{}, fault("C_FindObjects", driver.Invalid, errOtherMaterial)
	case !f.fit:
		return facts{}, fault("C_GetAttributeValue", driver.Unsupported, errors.Join(errPolicy, s.destroy(o), s.sweep(r.id)))
	}
	return f, nil
}

// named reports whether an object has the id. Without it the key could not be found
// again.
func (s session) named(o p11.ObjectHandle, id driver.MaterialID) (bool, error) {
	told, err := s.attribute(o, p11.CKA_ID)
	return bytes.Equal(told, id[:]), err
}

var errOtherMaterial = errors.New("the token has other material under this id")

// existing looks for a key left by an earlier attempt. No other object may have the id,
// because some tokens replace a key whose id is used again.
func (s session) existing(r request) (p11.ObjectHandle, bool, error) {
	all, err := s.find(template{raw(p11.CKA_ID, r.id[:])})
	if err != nil || len(all) == 0 {
		return 0, false, err
	}
	same, err := s.find(r.shape.search(r.id))
	if err != nil {
		return 0, false, err
	}
	one := len(same) == 1
	if len(same) > 1 {
		if one, err = s.oneKey(same, s.at(same[0], r)); err != nil {
			return 0, false, err
		}
	}
	switch {
	case one:
		return same[0], true, nil
	case len(same) == 0 && !r.shape.secret():
		return 0, false, s.clearHalf(r, all)
	}
	return 0, false, fault("C_FindObjects", driver.Invalid, errOtherMaterial)
}

// clearHalf destroys a public key without its private key, which is left when making a
// pair is interrupted. It does not touch other objects with the id. Private objects are
// hidden if the login has just ended, so it believes that there is none only if the same
// session shows the sentinel before the search. For half a sentinel it relies on the
// session's own report of its login.
func (s session) clearHalf(r request, all []p11.ObjectHandle) error {
	for _, o := range all {
		label, err := s.attribute(o, p11.CKA_LABEL)
		if err != nil {
			return err
		}
		class, err := s.attribute(o, p11.CKA_CLASS)
		if err != nil {
			return err
		}
		if got, told := unword(class); !told || got != p11.CKO_PUBLIC_KEY || !bytes.Equal(label, r.shape.label(r.id)) {
			return fault("C_FindObjects", driver.Invalid, errOtherMaterial)
		}
	}
	_, shown, err := s.sentinel()
	if err == nil && r.id == sentinelID() {
		shown, err = s.loggedIn()
	}
	if err != nil {
		return err
	}
	private, err := s.find(r.shape.search(r.id))
	if err != nil {
		return err
	}
	if !shown || len(private) > 0 {
		return errHidden
	}
	for _, o := range all {
		if err := s.destroy(o); err != nil {
			return err
		}
	}
	return nil
}

// describe returns the public key and the attributes of a key.
func (s session) describe(o p11.ObjectHandle, r request, f facts) (driver.Created, error) {
	public, err := s.public(o, r)
	if err != nil || public == nil {
		return driver.Created{Attributes: f.told}, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return driver.Created{}, fault("C_GetAttributeValue", driver.Unknown, errPublic)
	}
	return driver.Created{PublicDER: der, Attributes: f.told}, nil
}
