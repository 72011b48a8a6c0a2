package tpm

import (
	"context"
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/format"
	"strongroom.example/driver/tpm/internal/object"
	"strongroom.example/driver/tpm/internal/queue"
	"strongroom.example/driver/tpm/internal/wire"
	"strongroom.example/internal/suite"
)

// GenerateKey generates a key in the TPM. A second call generates another key. An RSA key
// takes seconds on a chip, which does nothing else in that time; such a call therefore
// waits until no other call does, or for ten seconds.
func (d *Driver) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	const op = "TPM2_Create"
	k, err := d.offered(ctx, op, spec)
	if err != nil {
		return driver.Created{}, err
	}
	defer d.gate.Leave()
	n, auth := format.KeyName{ID: id, Spec: spec}, format.NewAuth()
	defer clear(auth)
	var made createdObject
	create := func(dev *device) (err error) {
		made, err = dev.create(k.Area(n.Binding(auth)), sensitiveInput{auth: auth})
		return err
	}
	err = d.run(op, &job{Ctx: ctx, Priority: queue.Slow, Cost: op + string(spec.Algorithm), Work: work{act: create}})
	if err != nil {
		return driver.Created{}, err
	}
	return made.result(op, n, auth)
}

// A createdObject is a key as the TPM returns it: its public and private areas, and the
// name of its parent.
type createdObject struct {
	fromFile        bool // from a key file
	parent          []byte
	public, private []byte
}

// A sensitiveInput is the input of TPM2_Create that the TPM keeps: an authorization value
// and, for a sealed object, the data.
type sensitiveInput struct{ auth, data []byte }

// create runs TPM2_Create for a key or a sealed object. It marshals the command itself,
// so that no copy of the secret is left in memory.
func (d *device) create(area tpm2.TPMTPublic, keep sensitiveInput) (createdObject, error) {
	var made createdObject
	err := d.withSRK(func(parent wire.Entity) error {
		sensitive := wire.ConcatSized(keep.auth, keep.data)
		defer suite.Wipe(sensitive)
		public := tpm2.Marshal(area)
		params := wire.AppendSized(suite.NewSecret(len(sensitive) + len(public) + 16)[:0], sensitive)
		params = wire.AppendSized(params, public)
		params = wire.AppendSized(params, nil)            // no outside information
		params = binary.BigEndian.AppendUint32(params, 0) // no PCRs in the creation data
		rsp, err := d.execute(wire.Command{
			Code:      tpm2.TPMCCCreate,
			Handles:   []wire.Entity{parent},
			Params:    params,
			Session:   d.session,
			EncryptIn: true,
		})
		if err != nil {
			return d.explainSRKAuth(err)
		}
		r := wire.Reader{Rest: rsp.Params}
		made = createdObject{parent: parent.Name, private: slices.Clone(r.Sized()), public: slices.Clone(r.Sized())}
		if r.Bad {
			return wire.ErrResponse
		}
		return nil
	})
	return made, err
}

// parent returns the storage root key as a handle for go-tpm's commands.
func (d *device) parent(k wire.Entity, s tpm2.Session) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: k.Handle, Name: tpm2.TPM2BName{Buffer: k.Name}, Auth: s}
}

// result returns the result of generating or importing a key.
func (p createdObject) result(op string, n format.KeyName, auth []byte) (driver.Created, error) {
	area, err := object.ParseArea(p.public)
	if err != nil {
		return driver.Created{}, fault(op, driver.Unknown, err)
	}
	der, err := object.PublicDER(area)
	if err != nil {
		return driver.Created{}, fault(op, driver.Unknown, err)
	}
	a := area.ObjectAttributes
	return driver.Created{
		Blob:      format.Key{FromFile: p.fromFile, Parent: p.parent, Auth: auth, Public: p.public, Private: p.private}.Encode(n),
		PublicDER: der,
		Attributes: map[string]string{
			"fixedTPM":            strconv.FormatBool(a.FixedTPM),
			"fixedParent":         strconv.FormatBool(a.FixedParent),
			"sensitiveDataOrigin": strconv.FormatBool(a.SensitiveDataOrigin),
		},
	}, nil
}

// ImportKey encrypts material to the TPM's storage root key in the host, and imports it
// by TPM2_Import. material is 32 bytes for HMAC-SHA-256, else PKCS #8 DER. An RSA key
// must have two primes and the exponent 65537. The attributes of the key report that it
// was generated outside.
func (d *Driver) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, material []byte) (driver.Created, error) {
	const op = "TPM2_Import"
	k, err := d.offered(ctx, op, spec)
	if err != nil {
		return driver.Created{}, err
	}
	defer d.gate.Leave()
	n, auth := format.KeyName{ID: id, Spec: spec}, format.NewAuth()
	defer suite.Wipe(auth)
	area := object.Imported(k.Area(n.Binding(auth)))
	plain, err := object.SensitiveArea(k, &area, auth, material)
	if err != nil {
		return driver.Created{}, fault(op, driver.Invalid, err)
	}
	defer suite.Wipe(plain)
	var made createdObject
	err = d.do(ctx, op, queue.Ordinary, func(dev *device) (err error) {
		made, err = dev.importObject(area, plain)
		return err
	})
	if err != nil {
		return driver.Created{}, err
	}
	return made.result(op, n, auth)
}

// importObject encrypts a sensitive area to the storage root key and imports it.
func (d *device) importObject(area tpm2.TPMTPublic, plain []byte) (createdObject, error) {
	name, err := tpm2.ObjectName(&area)
	if err != nil {
		return createdObject{}, err
	}
	w, err := object.Wrap(&d.srk.public, name.Buffer, plain)
	if err != nil {
		return createdObject{}, err
	}
	made := createdObject{parent: d.srk.Name, public: tpm2.Marshal(area)}
	err = d.withSRK(func(parent wire.Entity) error {
		rsp, err := tpm2.Import{
			ParentHandle: d.parent(parent, d.session.Authorized(nil)),
			ObjectPublic: tpm2.New2B(area),
			Duplicate:    tpm2.TPM2BPrivate{Buffer: w.Wrapped},
			InSymSeed:    tpm2.TPM2BEncryptedSecret{Buffer: w.Seed},
			Symmetric:    tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgNull},
		}.Execute(&d.link)
		if err == nil {
			made.private = rsp.OutPrivate.Buffer
		}
		return d.explainSRKAuth(err)
	})
	return made, err
}
