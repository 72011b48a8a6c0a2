//go:build cgo && unix

package object

import (
	"bytes"
	"crypto"
	"slices"
	"strconv"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

// Facts are the attributes that the token reports for a key.
type Facts struct {
	// Conforms: the key has the requested shape, is private, sensitive, not extractable,
	// persistent if that was requested, and has only its one role.
	Conforms bool
	// sized: the key has the size or curve of its shape.
	sized bool
	// Attributes has attributes for display and for the audit log.
	Attributes map[string]string
}

// inspect reads a key's attributes one at a time, because many tokens return none if they
// do not know one of them. A key that was requested as a session object may be
// persistent, because some tokens make no others.
func (s Session) inspect(o p11.ObjectHandle, r KeyRequest) (Facts, error) {
	f, sh := Facts{Conforms: true, Attributes: make(map[string]string)}, r.Shape
	must := map[uint]bool{p11.CKA_PRIVATE: true, p11.CKA_SENSITIVE: true, p11.CKA_EXTRACTABLE: false}
	if r.Persistent {
		must[p11.CKA_TOKEN] = true
	}
	for kind, want := range must {
		value, err := s.Attribute(o, kind)
		if err != nil {
			return Facts{}, err
		}
		f.Conforms = f.Conforms && len(value) == 1 && (value[0] != 0) == want
	}
	for _, role := range privateRoles(sh.Secret()) {
		value, err := s.Attribute(o, role)
		if err != nil {
			return Facts{}, err
		}
		on := len(value) == 1 && value[0] != 0 // an unknown role is not set
		f.Conforms = f.Conforms && fitsRole(role, on, sh.roles)
	}
	fits, err := s.sized(o, sh)
	if err != nil {
		return Facts{}, err
	}
	f.sized, f.Conforms = fits, f.Conforms && fits
	return f, s.readAttributes(o, f.Attributes)
}

// OriginAttributes returns the names, in Facts.Attributes, of the attributes by which a
// token reports that it generated a key and never gave it out.
func OriginAttributes() []string { return []string{"local", "always_sensitive", "never_extractable"} }

// generatedHere reports whether a key has all origin attributes in the list.
func (f Facts) generatedHere(origin []string) bool {
	return !slices.ContainsFunc(origin, func(name string) bool { return f.Attributes[name] != "true" })
}

// fitsRole reports whether a role is set if and only if it was requested. It accepts two
// exceptions. Some tokens set CKA_SIGN_RECOVER with CKA_SIGN, because it is the same
// operation. CKA_VERIFY_RECOVER is harmless, because it needs only the public key.
func fitsRole(role uint, on bool, roles []uint) bool {
	switch {
	case on && role == p11.CKA_SIGN_RECOVER:
		return slices.Contains(roles, p11.CKA_SIGN)
	case on && role == p11.CKA_VERIFY_RECOVER:
		return true
	}
	return on == slices.Contains(roles, role)
}

// sized reports whether the key has the shape's size or curve.
func (s Session) sized(o p11.ObjectHandle, sh Shape) (bool, error) {
	kind := uint(p11.CKA_VALUE_LEN)
	switch {
	case sh.Kind == p11.CKK_RSA:
		kind = p11.CKA_MODULUS
	case !sh.Secret():
		kind = p11.CKA_EC_PARAMS
	}
	value, err := s.Attribute(o, kind)
	if err != nil {
		return false, err
	}
	switch kind {
	case p11.CKA_MODULUS:
		return uint(len(bytes.TrimLeft(value, "\x00")))*8 == sh.Size, nil
	case p11.CKA_EC_PARAMS:
		return sameCurve(value, sh), nil
	}
	size, reported := cryptoki.ParseUlong(value)
	return !reported || size == 0 || size == sh.Size, nil // SoftHSM reports 0 for unwrapped keys
}

// sameCurve reports whether CKA_EC_PARAMS names the curve of a shape. Ed25519 has a
// second encoding: its name as a printable string (PKCS #11 v3.0, section 2.3.10).
func sameCurve(value []byte, sh Shape) bool {
	return bytes.Equal(value, sh.curve) || sh.Kind == CKKECEdwards && bytes.Contains(value, []byte("edwards25519"))
}

// readAttributes stores the attributes for display in list. It omits those that the token
// does not report.
func (s Session) readAttributes(o p11.ObjectHandle, list map[string]string) error {
	for kind, name := range map[uint]string{
		p11.CKA_SENSITIVE:         "sensitive",
		p11.CKA_EXTRACTABLE:       "extractable",
		p11.CKA_ALWAYS_SENSITIVE:  "always_sensitive",
		p11.CKA_NEVER_EXTRACTABLE: "never_extractable",
		p11.CKA_LOCAL:             "local",
		p11.CKA_MODIFIABLE:        "modifiable",
	} {
		value, err := s.Attribute(o, kind)
		if err != nil {
			return err
		}
		if len(value) == 1 {
			list[name] = strconv.FormatBool(value[0] != 0)
		}
	}
	return nil
}

// CheckKey checks a key that was found, and returns the public key if it is needed, which
// is for RSA.
func (s Session) CheckKey(o p11.ObjectHandle, r KeyRequest) (crypto.PublicKey, error) {
	facts, err := s.inspect(o, r)
	if err != nil {
		return nil, err
	}
	if !facts.Conforms {
		return nil, cryptoki.ErrNotConforming
	}
	if r.Shape.Kind != p11.CKK_RSA {
		return nil, nil
	}
	return s.rsaPublic(o)
}
