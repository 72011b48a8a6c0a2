//go:build cgo && unix

package pkcs11

import (
	"crypto/rand"
	"errors"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/internal/suite"
)

var errAnyLength = errors.New("the token takes in material of any length, and does not tell which")

// mindsLength fails if the token takes in symmetric material of another length than the
// shape's. What is under OAEP may have any; a key that is longer than it should be works,
// and its owner's original opens nothing elsewhere. In AES-KWP the ciphertext tells.
func (x *examination) mindsLength(sh shape, u unwrapping) error {
	if !sh.secret() || u.alg.TwoSteps() {
		return nil
	}
	in := make([]byte, otherSize(sh))
	defer suite.Wipe(in)
	rand.Read(in)
	var err error
	if u.ciphertext, err = wrapFor(u, in); err != nil {
		return err
	}
	r := x.request(sh)
	defer x.sweep(r.id)
	_, err = u.unwrap(x.session, r)
	if err == nil {
		return errAnyLength
	}
	if passes(err) {
		return err
	}
	return nil
}

// otherSize is a length that keys of the shape do not have, and others of its kind do.
func otherSize(sh shape) uint {
	if sh.kind == p11.CKK_AES {
		return sh.size / 2
	}
	return sh.size + 1
}
