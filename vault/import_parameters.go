package vault

import (
	"context"
	"time"

	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// ImportRequest selects how material will be wrapped. The zero value selects a wrapping key
// of RSA-2048 with OAEP and SHA-256, or for a private key RSA_AES_KEY_WRAP with the hash
// with which the device can unwrap, or else SHA-256. ImportParameters.Algorithm reports the
// choice.
type ImportRequest struct {
	Algorithm WrappingAlgorithm
	// WrappingKeySpec is RSA2048 or SM2. Empty means the one that Algorithm needs.
	WrappingKeySpec KeySpec
	// Path requires the material to be unwrapped there. Empty means PathAuto. ErrUnsupported
	// says why the device cannot do it.
	Path ImportPath
	// SingleUse: the token is valid for one successful import.
	SingleUse bool
}

// ImportParameters are what the owner of material needs to wrap and send it.
type ImportParameters struct {
	// Token is passed to ImportKeyMaterial with the material. It is not secret. It is bound
	// to the CMK, the algorithm and the public key. It is valid for any number of imports
	// until ValidTo, the next ParametersForImport for the CMK, or five failed attempts. After
	// an import or an attempt, it also ends when the CMK's material is deleted, expires or
	// is moved.
	Token []byte
	// PublicKey is the key under which the material is wrapped. It has no other use.
	PublicKey PublicKey
	Algorithm WrappingAlgorithm
	// MaterialSize is the required length of the material in bytes, or 0 for a private key.
	MaterialSize int
	// ValidTo is the expiry of the token: 24 hours after the request, in whole seconds.
	ValidTo time.Time
	// Path is the place where the material will be unwrapped.
	Path ImportPath
}

// ParametersForImport makes a new wrapping key, and a token for importing material into a
// CMK of OriginExternal in state PendingImport or Enabled. It invalidates the CMK's earlier
// tokens. Errors: ErrUnsupported for a CMK of another origin or an algorithm that the
// edition does not allow, ErrInvalid, ErrKeyState, ErrDenied.
func (c Client) ParametersForImport(ctx context.Context, key string, r ImportRequest) (ImportParameters, error) {
	var p ImportParameters
	var id string
	err := c.onKey(ctx, request{op: OpParametersForImport, key: key}, func(ctx context.Context, t *target, e *entry) error {
		id = t.ID
		ask, err := c.vault.askImport(t, r)
		if err != nil {
			return err
		}
		e.rec.Detail = ask.detail()
		err = c.vault.issue(ctx, e, t, &ask)
		p = ask.parameters
		return err
	})
	if err != nil {
		return ImportParameters{}, err
	}
	c.vault.schedule(context.WithoutCancel(ctx), id)
	return p, nil
}

// issue makes the wrapping key and replaces the CMK's token.
func (v *Vault) issue(ctx context.Context, e *entry, t *target, a *importAsk) error {
	create := func(ctx context.Context) (driver.Created, error) {
		created, err := v.makeWrappingKey(ctx, *a)
		if err != nil {
			return created, err
		}
		a.token.public = v.suite.Hash(created.PublicDER)
		a.parameters.PublicKey.DER, a.parameters.Token = created.PublicDER, v.sealToken(a.token)
		return created, nil
	}
	keep := func(tx *keystore.Tx, created madeKey) error {
		tx.PutMaterial(materialPath(a.token.serial), created.Blob)
		return nil
	}
	finish := func(tx *keystore.Tx) error {
		state, err := getImport(tx, t.ID)
		if err != nil {
			return err
		}
		if err := v.dropToken(tx, t.ID, state.Token); err != nil {
			return err
		}
		issued := a.issued
		state.Token = &issued
		tx.Put(importPathOf(t.ID), encode(state))
		v.markClock(tx)
		return nil
	}
	ver := version{Material: a.issued.Serial}
	ver.Key, ver.Number, ver.Driver = t.ID, t.Version, a.issued.Driver
	return v.make(ctx, e, making{t: t, ver: ver, op: OpParametersForImport, create: create, keep: keep, finish: finish})
}

// makeWrappingKey makes the wrapping key in the place where the material will be unwrapped.
func (v *Vault) makeWrappingKey(ctx context.Context, a importAsk) (driver.Created, error) {
	d := v.drivers[a.issued.Driver]
	if a.issued.Path == PathDevice {
		return d.(driver.WrappedImporter).GenerateWrappingKey(ctx, a.token.serial, a.issued.Spec.Algorithm)
	}
	return d.GenerateKey(ctx, a.token.serial, a.issued.Spec)
}
