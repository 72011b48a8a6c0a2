//go:build cgo && unix

package pkcs11

import (
	"context"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// The sentinel is a small key that the driver keeps in each token. If a call fails and
// the cause may be the input or the token, the driver uses the sentinel to decide,
// because a token that lost its keys still opens sessions, finds no objects and reports
// no error.

func sentinelID() driver.MaterialID { return driver.MaterialID([]byte("strongroom-watch")) }

// sentinelShape returns the shape for a new sentinel, the cheapest that the token
// supports.
func (d *Driver) sentinelShape() (shape, bool) {
	specs := d.info.Specs
	for _, usage := range []driver.Usage{driver.Derive, driver.Sign, driver.Seal} {
		i := slices.IndexFunc(specs, func(row driver.SpecInfo) bool {
			return row.Spec.Usage == usage && row.Spec.Algorithm != driver.RSA3072 && row.Spec.Algorithm != driver.RSA4096
		})
		if i >= 0 {
			return d.profile.shapeOf(specs[i].Spec)
		}
	}
	return shape{}, false
}

// watch makes sure that the token has a sentinel. Two programs that open a new token at
// the same time may make two.
func (d *Driver) watch(ctx context.Context) error {
	sh, ok := d.sentinelShape()
	if !ok || d.token.sentinel.Load() != nil {
		return nil
	}
	done, err := d.write(ctx, sentinelID())
	if err != nil {
		return err
	}
	defer done()
	err = d.run(ctx, func(s session) (err error) {
		there, known, err := s.sentinel()
		if err == nil && !known {
			there = sh
			_, err = s.makeOnce(d.lasting(sh, sentinelID()), session.generate)
		}
		sh = there
		return err
	})
	if err == nil {
		d.token.sentinel.Store(&object{shape: sh, id: sentinelID(), any: true, deviceIV: d.profile.deviceIV})
	}
	return err
}

// sentinel returns the shape of the existing sentinel, which may differ from that of a
// new one, because another program or version may have found other abilities.
func (s session) sentinel() (shape, bool, error) {
	id := sentinelID()
	found, err := s.find(template{raw(p11.CKA_ID, id[:])})
	if err != nil {
		return shape{}, false, err
	}
	for _, o := range found {
		for _, sh := range sentinelShapes() {
			if is, err := s.isOf(o, sh); is || err != nil {
				return sh, is, err
			}
		}
	}
	return shape{}, false, nil
}

// sentinelShapes returns all shapes that a sentinel may have.
func sentinelShapes() (all []shape) {
	for _, p := range profiles() {
		if sh, _ := p.shapeOf(driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}); p.hmacKind != 0 {
			all = append(all, sh)
		}
	}
	for usage, algs := range map[driver.Usage][]driver.KeyAlgorithm{
		driver.Derive: {driver.HMACSHA256},
		driver.Seal:   {driver.AES256GCM},
		driver.Sign:   {driver.RSA2048, driver.ECP256, driver.ECP384, driver.ECP521, driver.Ed25519},
	} {
		for _, alg := range algs {
			sh, _ := shapeOf(driver.KeySpec{Algorithm: alg, Usage: usage})
			all = append(all, sh)
		}
	}
	return all
}

// isOf reports whether an object has the class, type and size of a shape.
func (s session) isOf(o p11.ObjectHandle, sh shape) (bool, error) {
	for kind, want := range map[uint]uint{p11.CKA_CLASS: sh.class, p11.CKA_KEY_TYPE: sh.kind} {
		value, err := s.attribute(o, kind)
		if got, told := unword(value); err != nil || !told || got != want {
			return false, err
		}
	}
	return s.sized(o, sh)
}

// request returns the request by which the sentinel was made.
func (o *object) request() request {
	return request{shape: o.shape, id: o.id, persistent: true, deviceIV: o.deviceIV}
}

// ping uses the sentinel once. It succeeds if the token no longer supports the sentinel's
// algorithm, because the token has at least found the key.
func (o *object) ping(s session) error {
	var err error
	switch o.shape.spec.Usage {
	case driver.Derive:
		var out [hmacSize]byte
		_, err = o.hmac(s, out[:], out[:])
	case driver.Seal:
		var out [ivSize + tagSize]byte
		_, err = o.seal(s, sealing{sealed: out[:]})
	default:
		err = byFirst(signAlgs(o.shape), func(alg driver.SignAlg) error {
			_, err := o.sign(s, alg, make([]byte, alg.DigestSize()))
			return err
		})
	}
	if lacksMechanism(err) {
		return nil
	}
	return err
}

// signAlgs returns the algorithms with which a key of the shape can sign, if the token
// supports them.
func signAlgs(sh shape) []driver.SignAlg {
	switch sh.spec.Algorithm {
	case driver.ECP256:
		return []driver.SignAlg{driver.ECDSASHA256}
	case driver.ECP384:
		return []driver.SignAlg{driver.ECDSASHA384}
	case driver.ECP521:
		return []driver.SignAlg{driver.ECDSASHA512}
	case driver.Ed25519:
		return []driver.SignAlg{driver.EdDSAEd25519}
	}
	return []driver.SignAlg{driver.RSAPKCS1SHA256, driver.RSAPKCS1SHA384, driver.RSAPKCS1SHA512,
		driver.RSAPSSSHA256, driver.RSAPSSSHA384, driver.RSAPSSSHA512}
}
