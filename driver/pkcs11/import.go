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

// ImportKey creates a key in the token from material in the host's memory. The attributes
// "local" and "always_sensitive" have the token's statement on the key's origin, which is
// wrong on some tokens. The caller wipes in, but Go's parsers leave parts of an
// asymmetric key on the heap. If the token has a key under id, it must have the same
// material; otherwise the error is Invalid.
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

// adopt creates an object from material, or checks the existing one.
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

// holds returns Invalid if an existing key has other material. It returns other errors of
// the token unchanged, because they do not show that the material differs.
func (s session) holds(o p11.ObjectHandle, r request, m material) error {
	if key, ok := m.public.(*rsa.PublicKey); ok {
		// Under another modulus the token may reject the trial ciphertext.
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

// at returns an object whose handle is known.
func (s session) at(o p11.ObjectHandle, r request) *object {
	found := &object{shape: r.shape, id: r.id, deviceIV: r.deviceIV}
	found.at.Store(&place{s.epoch, s.epoch.destroyed.Load(), o})
	return found
}

// created returns the description of an imported key, with the public key computed in the
// host.
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
