//go:build cgo && unix

package object

import (
	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

// The sentinel is a small key that the driver keeps in each token. If a call fails and
// the cause may be the input or the token, the driver uses the sentinel to decide,
// because a token that lost its keys still opens sessions, finds no objects and reports
// no error.

// FindSentinel returns the shape of the existing sentinel, which may differ from that of a
// new one, because another program or version may have found other abilities.
func (s Session) FindSentinel() (Shape, bool, error) {
	id := SentinelID()
	found, err := s.Find(cryptoki.Template{cryptoki.Bytes(p11.CKA_ID, id[:])})
	if err != nil {
		return Shape{}, false, err
	}
	for _, o := range found {
		for _, sh := range sentinelShapes() {
			if is, err := s.isOf(o, sh); is || err != nil {
				return sh, is, err
			}
		}
	}
	return Shape{}, false, nil
}

// sentinelShapes returns all shapes that a sentinel may have.
func sentinelShapes() (all []Shape) {
	for _, p := range profiles() {
		if sh, _ := p.ShapeOf(driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}); p.hmacKinds {
			all = append(all, sh)
		}
	}
	for usage, algs := range map[driver.Usage][]driver.KeyAlgorithm{
		driver.Derive: {driver.HMACSHA256},
		driver.Sign:   {driver.RSA2048, driver.ECP256, driver.ECP384, driver.ECP521, driver.Ed25519},
	} {
		for _, alg := range algs {
			sh, _ := ShapeOf(driver.KeySpec{Algorithm: alg, Usage: usage})
			all = append(all, sh)
		}
	}
	return all
}

// isOf reports whether an object has the class, type and size of a shape.
func (s Session) isOf(o p11.ObjectHandle, sh Shape) (bool, error) {
	for kind, want := range map[uint]uint{p11.CKA_CLASS: sh.Class, p11.CKA_KEY_TYPE: sh.Kind} {
		value, err := s.Attribute(o, kind)
		if got, reported := cryptoki.ParseUlong(value); err != nil || !reported || got != want {
			return false, err
		}
	}
	return s.sized(o, sh)
}

// Request returns the request by which the sentinel was made.
func (o *Object) Request() KeyRequest {
	return KeyRequest{Shape: o.Shape, ID: o.ID, Persistent: true}
}

// Check uses the sentinel once. It succeeds if the token no longer supports the sentinel's
// algorithm, because the token has at least found the key.
func (o *Object) Check(s Session) error {
	var err error
	switch o.Shape.Spec.Usage {
	case driver.Derive:
		out := make([]byte, o.Shape.Spec.Algorithm.MACSize())
		_, err = o.HMAC(s, out, out)
	default:
		err = byFirst(o.Shape.Spec.Algorithm.SignAlgs(), func(alg driver.SignAlg) error {
			_, err := o.Sign(s, alg, make([]byte, alg.DigestSize()))
			return err
		})
	}
	if lacksMechanism(err) {
		return nil
	}
	return err
}
