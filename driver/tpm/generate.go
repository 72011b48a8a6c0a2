package tpm

import (
	"context"
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
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
	n, auth := keyName{id, spec}, newAuth()
	defer clear(auth)
	var made pair
	err = d.queue.do(op, &job{ctx: ctx, lane: slow, cost: op + string(spec.Algorithm), act: func(dev *device) (err error) {
		made, err = dev.create(k.area(n.binding(auth)), secret{auth: auth})
		return err
	}})
	if err != nil {
		return driver.Created{}, err
	}
	return made.created(op, n, auth)
}

// A pair is a key as the TPM returns it: its public and private areas, and the name of
// its parent.
type pair struct {
	adopted         bool // from a key file
	parent          []byte
	public, private []byte
}

// A secret is the input of TPM2_Create that the TPM keeps: an authorization value and,
// for a sealed object, the data.
type secret struct{ auth, data []byte }

// create runs TPM2_Create for a key or a sealed object. It marshals the command itself,
// so that no copy of the secret is left in memory.
func (d *device) create(area tpm2.TPMTPublic, keep secret) (pair, error) {
	var made pair
	err := d.withSRK(func(parent entity) error {
		sensitive := sizedAll(keep.auth, keep.data)
		defer suite.Wipe(sensitive)
		public := tpm2.Marshal(area)
		params := appendSized(make([]byte, 0, len(sensitive)+len(public)+16), sensitive)
		params = appendSized(params, public)
		params = appendSized(params, nil)                 // no outside information
		params = binary.BigEndian.AppendUint32(params, 0) // no PCRs in the creation data
		rsp, err := d.execute(command{
			code:    tpm2.TPMCCCreate,
			handles: []entity{parent},
			params:  params,
			session: d.session,
			in:      true,
		})
		if err != nil {
			return d.guarded(err)
		}
		r := reader{rest: rsp.params}
		made = pair{parent: parent.name, private: slices.Clone(r.sized()), public: slices.Clone(r.sized())}
		if r.bad {
			return errResponse
		}
		return nil
	})
	return made, err
}

// parent returns the storage root key as a handle for go-tpm's commands.
func (d *device) parent(k entity, s tpm2.Session) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: k.handle, Name: tpm2.TPM2BName{Buffer: k.name}, Auth: s}
}

// created returns the result of generating or importing a key.
func (p pair) created(op string, n keyName, auth []byte) (driver.Created, error) {
	area, err := parseArea(p.public)
	if err != nil {
		return driver.Created{}, fault(op, driver.Unknown, err)
	}
	der, err := publicDER(area)
	if err != nil {
		return driver.Created{}, fault(op, driver.Unknown, err)
	}
	a := area.ObjectAttributes
	return driver.Created{
		Blob:      blob{p.adopted, p.parent, auth, p.public, p.private}.encode(n),
		PublicDER: der,
		Attributes: map[string]string{
			"fixedTPM":            strconv.FormatBool(a.FixedTPM),
			"fixedParent":         strconv.FormatBool(a.FixedParent),
			"sensitiveDataOrigin": strconv.FormatBool(a.SensitiveDataOrigin),
		},
	}, nil
}
