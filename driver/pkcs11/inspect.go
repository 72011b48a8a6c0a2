//go:build cgo && unix

package pkcs11

import (
	"bytes"
	"slices"
	"strconv"

	p11 "github.com/miekg/pkcs11"
)

// facts are the attributes that the token reports for a key.
type facts struct {
	// fit: the key has the requested shape, is private, sensitive, not extractable,
	// persistent if that was requested, and has only its one role.
	fit bool
	// sized: the key has the size or curve of its shape.
	sized bool
	// told has attributes for display and for the audit log.
	told map[string]string
}

// inspect reads a key's attributes one at a time, because many tokens return none if they
// do not know one of them. A key that was requested as a session object may be
// persistent, because some tokens make no others.
func (s session) inspect(o p11.ObjectHandle, r request) (facts, error) {
	f, sh := facts{fit: true, told: make(map[string]string)}, r.shape
	must := map[uint]bool{p11.CKA_PRIVATE: true, p11.CKA_SENSITIVE: true, p11.CKA_EXTRACTABLE: false}
	if r.persistent {
		must[p11.CKA_TOKEN] = true
	}
	for kind, want := range must {
		value, err := s.attribute(o, kind)
		if err != nil {
			return facts{}, err
		}
		f.fit = f.fit && len(value) == 1 && (value[0] != 0) == want
	}
	for _, role := range privateRoles(sh.secret()) {
		value, err := s.attribute(o, role)
		if err != nil {
			return facts{}, err
		}
		on := len(value) == 1 && value[0] != 0 // an unknown role is not set
		f.fit = f.fit && fitsRole(role, on, sh.roles)
	}
	fits, err := s.sized(o, sh)
	if err != nil {
		return facts{}, err
	}
	f.sized, f.fit = fits, f.fit && fits
	return f, s.tell(o, f.told)
}

// originAttributes returns the names, in facts.told, of the attributes by which a token
// reports that it generated a key and never gave it out.
func originAttributes() []string { return []string{"local", "always_sensitive", "never_extractable"} }

// generatedHere reports whether a key has all origin attributes in the list.
func (f facts) generatedHere(origin []string) bool {
	return !slices.ContainsFunc(origin, func(name string) bool { return f.told[name] != "true" })
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
func (s session) sized(o p11.ObjectHandle, sh shape) (bool, error) {
	kind := uint(p11.CKA_VALUE_LEN)
	switch {
	case sh.kind == p11.CKK_RSA:
		kind = p11.CKA_MODULUS
	case !sh.secret():
		kind = p11.CKA_EC_PARAMS
	}
	value, err := s.attribute(o, kind)
	if err != nil {
		return false, err
	}
	switch kind {
	case p11.CKA_MODULUS:
		return uint(len(bytes.TrimLeft(value, "\x00")))*8 == sh.size, nil
	case p11.CKA_EC_PARAMS:
		return sameCurve(value, sh), nil
	}
	size, told := unword(value)
	return !told || size == 0 || size == sh.size, nil // SoftHSM reports 0 for unwrapped keys
}

// sameCurve reports whether CKA_EC_PARAMS names the curve of a shape. Ed25519 has a
// second encoding: its name as a printable string (PKCS #11 v3.0, section 2.3.10).
func sameCurve(value []byte, sh shape) bool {
	return bytes.Equal(value, sh.curve) || sh.kind == ckkECEdwards && bytes.Contains(value, []byte("edwards25519"))
}

// tell stores the attributes for display in told. It omits those that the token does not
// report.
func (s session) tell(o p11.ObjectHandle, told map[string]string) error {
	for kind, name := range map[uint]string{
		p11.CKA_SENSITIVE:         "sensitive",
		p11.CKA_EXTRACTABLE:       "extractable",
		p11.CKA_ALWAYS_SENSITIVE:  "always_sensitive",
		p11.CKA_NEVER_EXTRACTABLE: "never_extractable",
		p11.CKA_LOCAL:             "local",
		p11.CKA_MODIFIABLE:        "modifiable",
	} {
		value, err := s.attribute(o, kind)
		if err != nil {
			return err
		}
		if len(value) == 1 {
			told[name] = strconv.FormatBool(value[0] != 0)
		}
	}
	return nil
}
