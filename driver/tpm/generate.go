package tpm

import (
	"context"
	"strconv"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
)

// GenerateKey makes a key in the TPM; called again it makes another. RSA takes seconds
// on a chip, in which nothing else is done: such calls wait until nobody else does.
func (d *Driver) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	const op = "TPM2_Create"
	k, err := d.offered(ctx, op, spec)
	if err != nil {
		return driver.Created{}, err
	}
	defer d.gate.leave()
	n, auth := keyName{id, spec}, newAuth()
	defer clear(auth)
	var made pair
	err = d.queue.do(op, &job{ctx: ctx, lane: slow, cost: op + string(spec.Algorithm), act: func(dev *device) (err error) {
		made, err = dev.create(k.area(n.binding(auth)), tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: auth}})
		return err
	}})
	if err != nil {
		return driver.Created{}, err
	}
	return made.created(op, n, auth)
}

// A pair is a key as the TPM returns it: both areas, and whose they are.
type pair struct {
	adopted         bool // from a key file
	parent          []byte
	public, private []byte
}

// create has the TPM make a key, or seal what sensitive holds.
func (d *device) create(area tpm2.TPMTPublic, sensitive tpm2.TPMSSensitiveCreate) (pair, error) {
	var made pair
	err := d.withSRK(func(parent entity) error {
		rsp, err := tpm2.Create{
			ParentHandle: d.parent(parent, d.session.hiding(nil)),
			InSensitive:  tpm2.TPM2BSensitiveCreate{Sensitive: &sensitive},
			InPublic:     tpm2.New2B(area),
		}.Execute(&d.link)
		if err != nil {
			return err
		}
		made = pair{parent: parent.name, public: rsp.OutPublic.Bytes(), private: rsp.OutPrivate.Buffer}
		return nil
	})
	return made, err
}

// parent is the storage root key in a command of go-tpm's.
func (d *device) parent(k entity, s tpm2.Session) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: k.handle, Name: tpm2.TPM2BName{Buffer: k.name}, Auth: s}
}

// created makes the answer of a creation.
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
