package tpm

import (
	"bytes"
	"context"
	"errors"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/format"
	"strongroom.example/driver/tpm/internal/object"
	"strongroom.example/driver/tpm/internal/queue"
	"strongroom.example/driver/tpm/internal/wire"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

var errForeign = errors.New("the key file is under another parent than this TPM's storage root key")

var errAuth = errors.New("an authorization has at most 32 bytes and no zero byte: software cuts it there")

// ExportTSS2 returns an asymmetric key as a TPM 2.0 key file in PEM ("TSS2 PRIVATE KEY"),
// for OpenSSL's tpm2 provider and other software. Only this TPM can load the file. auth
// becomes the authorization value of the key in the file: at most 32 bytes, without a
// zero byte. With an empty auth every program that may use this TPM may use the file. The
// caller wipes auth.
//
// A key of another driver, a symmetric key or an unsuitable auth is Invalid.
func (d *Driver) ExportTSS2(ctx context.Context, k driver.Key, auth []byte) ([]byte, error) {
	const op = "TPM2_ObjectChangeAuth"
	own, err := d.exportable(k)
	if err != nil {
		return nil, fault(op, driver.Invalid, err)
	}
	if len(auth) > format.AuthLength || bytes.IndexByte(auth, 0) >= 0 {
		return nil, fault(op, driver.Invalid, errAuth)
	}
	if err := own.enter(ctx, op); err != nil {
		return nil, err
	}
	defer own.leave()
	f := format.KeyFile{EmptyAuth: len(auth) == 0}
	err = own.do(ctx, op, func(dev *device, e wire.Entity) error {
		private, err := dev.changeAuth(e, reauth{own.res.auth, auth})
		if err != nil {
			return err
		}
		f.Parent = format.OwnerParent
		if dev.srk.context == nil {
			f.Parent = int64(dev.srk.Handle)
		}
		f.Public, f.Private = own.res.public, private
		return nil
	})
	if err != nil {
		return nil, err
	}
	text, err := f.Encode()
	if err != nil {
		return nil, fault(op, driver.Unknown, err)
	}
	return text, nil
}

// exportable returns the key behind the interface, if the driver can export it.
func (d *Driver) exportable(k driver.Key) (*key, error) {
	var own *key
	switch k := k.(type) {
	case *signKey:
		own = &k.key
	case *rsaKey:
		own = &k.key
	case *sm2Key:
		own = &k.key
	}
	if own == nil || own.driver != d {
		return nil, errors.New("only this driver's asymmetric keys have a key file")
	}
	return own, nil
}

// A reauth is a change of a key's authorization value.
type reauth struct {
	from *lockedmem.Buffer
	to   []byte
}

// changeAuth returns the private area of a loaded key with another authorization value.
// The loaded key keeps its own value.
func (d *device) changeAuth(e wire.Entity, r reauth) (private []byte, err error) {
	err = d.withSRK(func(parent wire.Entity) error {
		rsp, err := d.execute(wire.Command{
			Code:      tpm2.TPMCCObjectChangeAuth,
			Handles:   []wire.Entity{e, parent},
			Params:    wire.ConcatSized(r.to),
			Session:   d.session,
			Auth:      r.from.Bytes(),
			EncryptIn: true,
		})
		if err != nil {
			return err
		}
		area := wire.Reader{Rest: rsp.Params}
		private = bytes.Clone(area.Sized())
		return area.Done()
	})
	return private, err
}

// checkFileAuth has the TPM check the authorization value of a key from a key file, which
// binds the key to its id and spec. A wrong value does not count toward a lockout.
func (d *device) checkFileAuth(r *resident) error {
	_, err := d.changeAuth(r.entity(), reauth{r.auth, r.auth.Bytes()})
	if wire.AuthRefused(wire.CodeOf(err)) {
		d.link.Close() // in case the session is wrong and not the value
		return fault("TPM2_Load", driver.Authentic, format.ErrDamaged)
	}
	return err
}

// ImportTSS2 imports a key from a TPM 2.0 key file whose parent is this TPM's storage
// root key. auth is the authorization value of the file. The driver stores a copy of the
// key under an authorization value of its own; the file remains usable, and the caller
// deletes it if it should not be. The caller wipes auth.
//
// The driver uses the key only as n.Spec states, although the file may allow more.
//
// Errors:
//   - Invalid: text is not a key file, names a policy, or does not fit n.Spec. A policy
//     within the key itself is accepted; it remains a second way to use the key, beside
//     the authorization value.
//   - Invalid: the key can lock the TPM, as those of OpenSSL's own genpkey can. A power
//     cut after its use counts as an attack even if its authorization value is empty, and
//     that attribute cannot be removed.
//   - Authentic: the file belongs to another TPM.
//   - Denied: auth is wrong.
func (d *Driver) ImportTSS2(ctx context.Context, n KeyID, text, auth []byte) (driver.Created, error) {
	const op = "TPM2_Load"
	k, err := d.offered(ctx, op, n.Spec)
	if err != nil {
		return driver.Created{}, err
	}
	defer d.gate.Leave()
	f, err := format.ParseKeyFile(text)
	if err != nil {
		return driver.Created{}, fault(op, driver.Invalid, err)
	}
	area, err := object.ParseArea(f.Public)
	if err == nil {
		err = k.CheckFile(area)
	}
	if err != nil {
		return driver.Created{}, fault(op, driver.Invalid, err)
	}
	seed := format.NewAuth()
	name := format.KeyName{ID: n.ID, Spec: n.Spec}
	value := name.DerivedAuth(seed)
	defer suite.Wipe(value)
	made := createdObject{fromFile: true, public: f.Public}
	err = d.do(ctx, op, queue.Ordinary, func(dev *device) (err error) {
		made.parent = dev.srk.Name
		made.private, err = dev.rewrapFile(f, auth, value)
		return err
	})
	if err != nil {
		return driver.Created{}, err
	}
	return made.result(op, name, seed)
}

// A KeyID is the id and the spec to which an imported key is bound.
type KeyID struct {
	ID   driver.MaterialID
	Spec driver.KeySpec
}

// rewrapFile loads the key of a file, and returns its private area with another
// authorization value.
func (d *device) rewrapFile(f format.KeyFile, auth, value []byte) ([]byte, error) {
	if f.Parent != int64(d.srk.Handle) && f.Parent != format.OwnerParent {
		return nil, fault("TPM2_Load", driver.Authentic, errForeign)
	}
	old, err := d.arena.Alloc(max(1, len(auth)))
	if err != nil {
		return nil, fault("TPM2_Load", driver.Throttled, err)
	}
	defer old.Free()
	copy(old.Bytes(), auth)
	d.freeSlot()
	r := &resident{public: f.Public, private: f.Private}
	if r.handle, err = d.load(r); err != nil {
		if errors.Is(d.loadError(d.srk.Name, err), driver.Authentic) {
			return nil, fault("TPM2_Load", driver.Authentic, errForeign)
		}
		return nil, err
	}
	defer d.flush(r.handle)
	return d.changeAuth(r.entity(), reauth{old, value})
}
