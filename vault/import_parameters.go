package vault

import (
	"context"
	"fmt"
	"slices"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/unwrap"
	"strongroom.example/keystore"
)

// ImportRequest says how material will be wrapped. The zero value is for a wrapping
// key of RSA-2048 with OAEP and SHA-256; for a private key, with RSA_AES_KEY_WRAP.
type ImportRequest struct {
	Algorithm WrappingAlgorithm
	// WrappingKeySpec is RSA2048 or SM2; empty means the one that Algorithm needs.
	WrappingKeySpec KeySpec
	// SingleUse: the token is good for one import that succeeds.
	SingleUse bool
}

// ImportParameters are what the owner of material needs to send it.
type ImportParameters struct {
	// Token goes back with the material. It is no secret. It is bound to the CMK, the
	// algorithm and the public key, and good until ValidTo for any number of imports,
	// until the next ParametersForImport for the CMK, or until five tries failed.
	Token []byte
	// PublicKey wraps the material, and nothing else.
	PublicKey PublicKey
	Algorithm WrappingAlgorithm
	// MaterialSize is how many bytes the material has to have; 0 for a private key.
	MaterialSize int
	// ValidTo is 24 hours after the request, in whole seconds.
	ValidTo time.Time
	// Path says whether the host will see the material.
	Path ImportPath
}

// ParametersForImport makes a fresh wrapping key and a token to bring material into a
// CMK of OriginExternal that is in PendingImport or Enabled. Tokens that were issued
// for the CMK before end with it. Errors: ErrUnsupported for a CMK of another origin
// or what the edition does without, ErrInvalid, ErrKeyState, ErrDenied.
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

// importAsk is a request that was understood. Its parameters have no token and no public
// key until it is issued.
type importAsk struct {
	parameters ImportParameters
	row        wrapRow
	token      token
	issued     issuedToken
}

// detail is what the record of the request tells of it.
func (a importAsk) detail() map[string]string {
	p := a.parameters
	return map[string]string{"algorithm": string(p.Algorithm), "path": string(p.Path), "validTo": p.ValidTo.Format(time.RFC3339)}
}

// askImport decides algorithm and path, and what the token will say.
func (v *Vault) askImport(t *target, r ImportRequest) (a importAsk, err error) {
	spec, err := v.deviceSpec(t.Key)
	if err != nil {
		return a, err
	}
	if a.row, err = chooseWrap(r, spec, v.cfg.Edition); err != nil {
		return a, err
	}
	d, err := v.driver(t.Driver)
	if err != nil {
		return a, err
	}
	validTo := v.deadline.Now().Add(tokenLife).UTC().Truncate(time.Second)
	id := driver.MaterialID(v.hedge.id())
	a.parameters = ImportParameters{
		PublicKey: PublicKey{Key: t.ID, Spec: a.row.key}, Algorithm: a.row.alg, ValidTo: validTo,
		MaterialSize: materialSize(t.Key, spec, v.cfg.Edition), Path: importPath(d, spec, a.row),
	}
	a.token = token{serial: id, algorithm: a.row.code, single: r.SingleUse, validTo: validTo}
	a.token.key, _ = parseKeyID(t.ID)
	a.issued = issuedToken{
		Serial: id.String(), Driver: softDriver, Path: a.parameters.Path, Algorithm: a.row.alg, ValidTo: validTo, SingleUse: r.SingleUse,
	}
	a.issued.Spec, _ = unwrap.KeySpec(a.row.seam)
	if a.issued.Path == PathDevice {
		a.issued.Driver, a.issued.Spec.Usage = t.Driver, driver.Unwrap
	}
	if a.issued.Path == PathHost {
		_, err = v.hostImporter(d, spec, a.row)
	}
	return a, err
}

// hostImporter returns the driver as an Importer of material that the host unwraps.
func (v *Vault) hostImporter(d driver.Driver, spec driver.KeySpec, row wrapRow) (driver.Importer, error) {
	wrapping, _ := unwrap.KeySpec(row.seam)
	if can, _ := v.drivers[softDriver].Info().Find(wrapping); !slices.Contains(can.Decrypt, row.host) {
		return nil, fmt.Errorf("%w: this process does without %s (GODEBUG=fips140=only)", ErrUnsupported, row.alg)
	}
	can, _ := d.Info().Find(spec)
	importer, able := d.(driver.Importer)
	if !can.Import || !able {
		return nil, fmt.Errorf("%w: the driver takes material of %s by other wrapping algorithms only", ErrUnsupported, spec)
	}
	return importer, nil
}

// issue makes the wrapping key and replaces the CMK's token.
func (v *Vault) issue(ctx context.Context, e *entry, t *target, a *importAsk) error {
	begin := func(tx *keystore.Tx) error {
		if tx.Version(keyPath(t.ID)) != t.record {
			return errStale
		}
		return nil
	}
	create := func(ctx context.Context) (driver.Created, error) {
		created, err := v.makeWrappingKey(ctx, *a)
		if err != nil {
			return created, err
		}
		a.token.public = v.suite.Hash(created.PublicDER)
		a.parameters.PublicKey.DER, a.parameters.Token = created.PublicDER, v.sealToken(a.token)
		return created, nil
	}
	keep := func(tx *keystore.Tx, created driver.Created) error {
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
	return v.make(ctx, e, making{ver: ver, op: OpParametersForImport, begin: begin, create: create, keep: keep, finish: finish})
}

// makeWrappingKey makes the wrapping key where the material will be unwrapped.
func (v *Vault) makeWrappingKey(ctx context.Context, a importAsk) (driver.Created, error) {
	d := v.drivers[a.issued.Driver]
	if a.issued.Path == PathDevice {
		return d.(driver.WrappedImporter).GenerateWrappingKey(ctx, a.token.serial, a.issued.Spec.Algorithm)
	}
	return d.GenerateKey(ctx, a.token.serial, a.issued.Spec)
}

// deviceSpec is what the driver knows a CMK's material as.
func (v *Vault) deviceSpec(k Key) (driver.KeySpec, error) {
	row, err := chooseSpec(k.Spec, k.Usage, v.cfg.Edition)
	return row.device(v.suite), err
}
