//go:build cgo && unix

package pkcs11

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// ImportKey puts material that is in the host's memory into the token. What the token
// tells of a key's origin is in the attributes "local" and "always_sensitive"; not all
// tokens tell it right. Go's parsers leave parts of an asymmetric key on the heap. If
// the token has a key under id it must be the same.
func (d *Driver) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, in []byte) (driver.Created, error) {
	if !hasDeadline(ctx) {
		return d.importKey(ctx, id, spec, in)
	}
	material := slices.Clone(in)
	return bounded(ctx, func() (driver.Created, error) {
		defer suite.Wipe(material)
		return d.importKey(ctx, id, spec, material)
	}, keep)
}

func (d *Driver) importKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, in []byte) (driver.Created, error) {
	const op = "ImportKey"
	sh, err := d.enterFor(ctx, op, spec)
	if err != nil {
		return driver.Created{}, err
	}
	defer d.gate.Leave()
	if row, _ := d.info.Find(spec); !row.Import {
		return driver.Created{}, fault(op, driver.Unsupported, errSpec)
	}
	m, err := sh.parse(in)
	if err != nil {
		return driver.Created{}, fault(op, driver.Invalid, err)
	}
	defer m.forget()
	done, err := d.write(ctx, id)
	if err != nil {
		return driver.Created{}, err
	}
	defer done()
	var created driver.Created
	err = d.run(ctx, func(s session) (err error) {
		created, err = s.adopt(d.lasting(sh, id), m)
		return err
	})
	return created, err
}

// adopt makes an object of material, or checks the one that is there.
func (s session) adopt(r request, m material) (driver.Created, error) {
	placed := false
	o, f, err := s.makeFitting(r, func(s session, r request) (p11.ObjectHandle, error) {
		placed = true
		return s.place(r, m.values)
	})
	if err != nil {
		return driver.Created{}, err
	}
	if !placed {
		if err := s.holds(o, r, m); err != nil {
			return driver.Created{}, err
		}
	}
	return m.created(f)
}

// holds checks that a key that was there is of the material. That the token cannot say
// so just now is another thing.
func (s session) holds(o p11.ObjectHandle, r request, m material) error {
	if key, ok := m.public.(*rsa.PublicKey); ok {
		// Under another modulus a ciphertext may be none.
		told, err := s.rsaPublic(o)
		if err != nil {
			return err
		}
		if !key.Equal(told) {
			return fault("C_FindObjects", driver.Invalid, errOtherMaterial)
		}
	}
	err := s.at(o, r).answers(s, m.reference)
	if errors.Is(err, errTrial) && codeOf(err) == p11.CKR_OK {
		return fault("C_FindObjects", driver.Invalid, errOtherMaterial)
	}
	return err
}

// at is an object whose handle is known.
func (s session) at(o p11.ObjectHandle, r request) *object {
	found := &object{shape: r.shape, id: r.id, deviceIV: r.deviceIV}
	found.at.Store(&place{s.epoch, s.epoch.destroyed.Load(), o})
	return found
}

// created describes an imported key: its public half is known in the host.
func (m material) created(f facts) (driver.Created, error) {
	created := driver.Created{Attributes: f.told}
	if m.public == nil {
		return created, nil
	}
	der, err := x509.MarshalPKIXPublicKey(m.public)
	if err != nil {
		return driver.Created{}, fault("ImportKey", driver.Invalid, errMaterial)
	}
	created.PublicDER = der
	return created, nil
}
