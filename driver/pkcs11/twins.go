//go:build cgo && unix

package pkcs11

import (
	"bytes"
	"crypto/rand"
	"errors"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// oneKey reports whether several handles belong to the same key. Some modules show an
// object twice if it was made while others were being made. The keys are compared by
// their results, or by the modulus of an RSA key.
func (s session) oneKey(found []p11.ObjectHandle, o *object) (bool, error) {
	first := s.at(found[0], o.request())
	for _, handle := range found[1:] {
		same, err := s.sameKey(first, s.at(handle, o.request()))
		if err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

func (s session) sameKey(a, b *object) (bool, error) {
	handle, other := a.at.Load().handle, b.at.Load().handle
	switch {
	case a.shape.kind == p11.CKK_RSA:
		return s.sameAttribute([]p11.ObjectHandle{handle, other}, p11.CKA_MODULUS)
	case a.shape.spec.Usage == driver.Derive:
		var x, y [hmacSize]byte
		label := []byte("strongroom: two handles")
		if _, err := a.hmac(s, x[:], label); err != nil {
			return false, err
		}
		_, err := b.hmac(s, y[:], label)
		return x == y, err
	case a.shape.spec.Usage == driver.Seal:
		return s.opensOther(a, b)
	}
	public, err := s.public(handle, a.request())
	if err != nil {
		return false, err
	}
	for _, o := range []*object{a, b} {
		err := o.answersSign(s, signAlgs(o.shape)[0], public)
		if errors.Is(err, errTrial) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// opensOther reports whether one handle opens a text that the other sealed.
func (s session) opensOther(a, b *object) (bool, error) {
	text := make([]byte, 16)
	rand.Read(text)
	sealed, out := make([]byte, ivSize+len(text)+tagSize), make([]byte, len(text)+tagSize)
	if _, err := a.seal(s, sealing{sealed, text, nil}); err != nil {
		return false, err
	}
	n, err := b.open(s, sealing{sealed, out, nil})
	if err != nil {
		// Modules report a wrong ciphertext with many codes. If the module itself fails,
		// the next call fails too.
		_, err = a.open(s, sealing{sealed, out, nil})
		return false, err
	}
	return bytes.Equal(out[:n], text), nil
}

// sameAttribute reports whether all objects have the same value of an attribute.
func (s session) sameAttribute(objects []p11.ObjectHandle, kind uint) (bool, error) {
	var first []byte
	for i, o := range objects {
		value, err := s.attribute(o, kind)
		if err != nil || len(value) == 0 {
			return false, err
		}
		if i == 0 {
			first = value
		}
		if !bytes.Equal(value, first) {
			return false, nil
		}
	}
	return true, nil
}
