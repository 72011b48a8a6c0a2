//go:build cgo && unix

package pkcs11

import (
	"crypto/rand"
	"errors"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/internal/suite"
)

var errAnyLength = errors.New("the token takes in material of any length, and does not tell which")

// mindsLength returns an error if the token accepts symmetric material whose length
// differs from the shape's. Under OAEP the token alone can check the length: a longer key
// would work in the token, and its owner's copy would not decrypt its ciphertexts
// elsewhere. With AES-KWP the length of the ciphertext shows it.
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

// otherSize returns a length that differs from the shape's but is valid for keys of its
// type.
func otherSize(sh shape) uint {
	if sh.kind == p11.CKK_AES {
		return sh.size / 2
	}
	return sh.size + 1
}
