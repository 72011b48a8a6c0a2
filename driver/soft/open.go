package soft

import (
	"context"
	"crypto/rsa"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// OpenKey opens a blob. Symmetric material stays in locked memory. An asymmetric key is
// parsed once into Go's own struct, which lives on the heap until the key is closed.
//
// Errors:
//   - Authentic: the blob was changed, or belongs to another id, spec or wrapping key.
//   - Throttled: the limit of locked memory is reached. The error wraps the cause.
//   - Unsupported: Info does not list spec.
func (d *Driver) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	const op = "OpenKey"
	if err := d.enter(ctx, op, spec); err != nil {
		return nil, err
	}
	defer d.gate.Leave()
	buf, err := d.unseal(op, name{id, spec}, blob)
	if err != nil {
		return nil, err
	}
	if symmetric(spec.Algorithm) {
		k := &prfKey{suite: prfSuite(spec.Algorithm), material: buf}
		d.keep(&k.handle, buf.Free)
		return k, nil
	}
	defer buf.Free()
	key, err := d.openPair(spec, buf.Bytes())
	if err != nil {
		return nil, fault(op, driver.Authentic, errBlob)
	}
	return key, nil
}

func (d *Driver) openPair(spec driver.KeySpec, material []byte) (driver.Key, error) {
	p, err := parsePair(spec.Algorithm, material)
	if err != nil {
		return nil, err
	}
	row, _ := d.info.Find(spec)
	if spec.Usage == driver.Sign {
		k := &signKey{pair: p, algs: row.Sign}
		d.keep(&k.handle, func() { k.pair = pair{} })
		return k, nil
	}
	k := &decryptKey{pair: p, algs: row.Decrypt}
	if key, ok := p.private.(*rsa.PrivateKey); ok {
		if k.raw, err = newRawRSA(key); err != nil {
			return nil, err
		}
	}
	d.keep(&k.handle, func() { k.pair, k.raw = pair{}, nil })
	return k, nil
}

func prfSuite(alg driver.KeyAlgorithm) suite.ID {
	if alg == driver.HMACSM3 {
		return suite.SM
	}
	return suite.AES
}
