package vault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
	"strongroom.example/internal/unwrap"
	"strongroom.example/keystore"
)

// ImportMaterial is what the owner of material sends.
type ImportMaterial struct {
	// Token is that of ParametersForImport.
	Token []byte
	// EncryptedMaterial is the material, wrapped for the public key that came with
	// the token, by its algorithm.
	EncryptedMaterial []byte
	// ValidTo is when the vault destroys the material by itself; zero: never.
	ValidTo time.Time
}

// errMaterial is the one error for every way in which wrapped material is wrong.
var errMaterial = fmt.Errorf("%w: the material does not unwrap by the token's algorithm to what the CMK takes", ErrImport)

// ImportKeyMaterial brings material into a CMK of OriginExternal and enables it. The
// first import binds the CMK for good: later ones take the same material only, after
// it was deleted or expired, or to give it another ValidTo. Material that this vault
// has for another usage or spec is refused; two CMKs of one usage and spec may have
// the same, and do not decrypt for each other.
//
// A try that fails with what the token admitted counts; after five the token is
// dead. Errors: ErrImport for token and material, ErrInvalid for a ValidTo that has
// passed, ErrTooLarge, ErrUnsupported for a CMK of another origin, ErrKeyState,
// ErrDenied, ErrUnavailable.
func (c Client) ImportKeyMaterial(ctx context.Context, key string, m ImportMaterial) (Key, error) {
	var im *importing
	defer func() { im.wipe() }()
	q := request{op: OpImportKeyMaterial, key: key, size: len(m.EncryptedMaterial)}
	err := c.onKey(ctx, q, func(ctx context.Context, t *target, e *entry) (err error) {
		im.wipe()
		if im, err = c.vault.newImporting(ctx, t, m); err != nil {
			return err
		}
		e.rec.KeyVersion, e.rec.Algorithm, e.rec.Detail = 1, string(im.ver.Algorithm), im.detail
		return c.vault.make(ctx, e, making{
			ver: im.ver, op: OpImportKeyMaterial, token: im.token.serial.String(),
			begin: im.begin, create: im.create, keep: im.keep, finish: func(*keystore.Tx) error { return nil },
		})
	})
	if err != nil {
		return Key{}, err
	}
	c.vault.schedule(context.WithoutCancel(ctx), im.key.ID)
	return im.key, nil
}

// importing is one import on its way.
type importing struct {
	v        *Vault
	t        *target
	material ImportMaterial
	token    token
	row      wrapRow
	ver      version
	id       driver.MaterialID
	// again: the CMK has its material, and this one only has to be the same.
	again  bool
	issued issuedToken
	marks  []mark
	detail map[string]string
	key    Key // as it is after
}

// newImporting checks all that can be known before the try.
func (v *Vault) newImporting(ctx context.Context, t *target, m ImportMaterial) (*importing, error) {
	now := v.deadline.Now()
	if !m.ValidTo.IsZero() && (!m.ValidTo.After(now) || m.ValidTo.Year() > 9999) {
		return nil, invalid("ValidTo %v is not after now, %v", m.ValidTo, now)
	}
	if len(m.EncryptedMaterial) > unwrap.MaxCiphertext {
		return nil, fmt.Errorf("%w: wrapped material has %d bytes, the limit is %d", ErrTooLarge, len(m.EncryptedMaterial), unwrap.MaxCiphertext)
	}
	if t.expired {
		return nil, orElse(v.expireMaterial(ctx, t.ID), errStale)
	}
	im := &importing{v: v, t: t, material: m, detail: map[string]string{}}
	im.material.ValidTo = m.ValidTo.UTC()
	if !m.ValidTo.IsZero() {
		im.detail["validTo"] = im.material.ValidTo.Format(time.RFC3339)
	}
	err := im.readToken()
	if err != nil {
		return nil, err
	}
	if im.ver, err = v.newVersion(t.Key, 1, now.UTC()); err != nil {
		return nil, err
	}
	if im.id, err = im.ver.material(); err != nil || t.Version == 0 {
		return im, err
	}
	first, err := v.keys.version(ctx, t.ID, 1)
	im.ver.Created, im.again = first.Created, first.Material != ""
	return im, err
}

// wipe wipes what was computed by the material.
func (im *importing) wipe() {
	if im == nil {
		return
	}
	for i := range im.marks {
		suite.Wipe(im.marks[i].value[:])
	}
}

// readToken checks the token for itself; whether it is the newest is for begin.
func (im *importing) readToken() (err error) {
	if im.token, err = im.v.openToken(im.material.Token); err != nil {
		return err
	}
	if id, ok := parseKeyID(im.t.ID); !ok || id != im.token.key {
		return fmt.Errorf("%w: the import token is for another CMK", ErrImport)
	}
	n := slices.IndexFunc(wrapTable, func(r wrapRow) bool { return r.code == im.token.algorithm })
	if n < 0 {
		return fmt.Errorf("%w: wrapping algorithm %d of an import token", ErrCorrupt, im.token.algorithm)
	}
	im.row = wrapTable[n]
	im.detail["algorithm"] = string(im.row.alg)
	return nil
}

// begin counts the try, before anything is unwrapped: tries at the same time are no
// way around the limit, and neither is a kill.
func (im *importing) begin(tx *keystore.Tx) error {
	if tx.Version(keyPath(im.t.ID)) != im.t.record {
		return errStale
	}
	state, err := getImport(tx, im.t.ID)
	if err != nil {
		return err
	}
	if err := state.admit(im.token, im.v.deadline.Now()); err != nil {
		return err
	}
	state.Token.Running++
	state.Token.Tried = true
	tx.Put(importPathOf(im.t.ID), encode(state))
	im.issued = *state.Token
	im.detail["path"] = string(im.issued.Path)
	im.v.markClock(tx)
	return nil
}

// create unwraps the material into the driver, and marks it through its own PRF or
// public key.
func (im *importing) create(ctx context.Context) (created driver.Created, err error) {
	d, wrapped := im.v.drivers[im.t.Driver], driver.Wrapped{Alg: im.row.seam, Ciphertext: im.material.EncryptedMaterial}
	if wrapped.With, err = im.openWrappingKey(ctx); err != nil {
		return created, err
	}
	defer wrapped.With.Close()
	if im.issued.Path == PathDevice {
		im.marks = nil
		created, err = d.(driver.WrappedImporter).ImportWrapped(ctx, im.id, im.ver.spec(), wrapped)
	} else {
		created, im.marks, err = im.host(ctx, wrapped)
	}
	if errors.Is(err, driver.Authentic) || errors.Is(err, driver.Invalid) {
		return created, errMaterial
	}
	if err != nil {
		return created, err
	}
	key, err := d.OpenKey(ctx, im.id, im.ver.spec(), created.Blob)
	if err != nil {
		return created, err
	}
	defer key.Close()
	own, err := im.v.markOf(ctx, key, im.ver.spec(), created.PublicDER)
	im.marks = append([]mark{own}, im.marks...)
	if err == nil && im.again {
		err = d.DestroyKey(ctx, im.id, created.Blob)
	}
	return created, err
}

// openWrappingKey opens the wrapping key of the token that was admitted.
func (im *importing) openWrappingKey(ctx context.Context) (driver.Key, error) {
	d, ok := im.v.drivers[im.issued.Driver]
	if !ok {
		return nil, fmt.Errorf("%w: the vault was opened without driver %q", ErrUnavailable, im.issued.Driver)
	}
	r, err := im.v.store.Get(ctx, materialPath(im.token.serial))
	if errors.Is(err, keystore.ErrNotFound) {
		return nil, errStale // the token was replaced meanwhile
	}
	if err != nil {
		return nil, err
	}
	key, err := d.OpenKey(ctx, im.token.serial, im.issued.Spec, r.Value)
	if errors.Is(err, driver.Authentic) || errors.Is(err, driver.Invalid) {
		return nil, fmt.Errorf("%w: wrapping key: %w", ErrCorrupt, err)
	}
	return key, err
}

// host unwraps in locked memory and imports from there.
func (im *importing) host(ctx context.Context, w driver.Wrapped) (created driver.Created, marks []mark, err error) {
	buf, err := im.v.arena.Alloc(unwrap.MaxMaterial)
	if err != nil {
		return created, nil, err
	}
	defer buf.Free()
	rejection := im.v.suite.MAC(im.v.secrets.rejection(), []byte(im.issued.Serial))
	defer suite.Wipe(rejection[:])
	material, err := unwrap.Unwrap(ctx, buf.Bytes()[:0], w, rejection[:])
	if err != nil {
		return created, nil, err
	}
	spec := im.ver.spec()
	if symmetric(spec) {
		if len(material) != materialSize(im.t.Key, spec, im.v.cfg.Edition) {
			return created, nil, errMaterial
		}
		marks = hostMarks(material)
	}
	importer, err := im.v.hostImporter(im.v.drivers[im.t.Driver], spec, im.row)
	if err != nil {
		return created, nil, err
	}
	created, err = importer.ImportKey(ctx, im.id, spec, material)
	return created, marks, err
}

// keep stores the material and enables the CMK, unless it changed while the driver
// worked or the material is not the CMK's.
func (im *importing) keep(tx *keystore.Tx, created driver.Created) error {
	k, err := im.current(tx)
	if err != nil {
		return err
	}
	state, err := getImport(tx, k.ID)
	if err != nil {
		return err
	}
	if state.Token == nil || state.Token.Serial != im.issued.Serial {
		return errStale
	}
	if err := im.v.claim(tx, k, &state, im.marks); err != nil {
		return err
	}
	state.Token.Running--
	state.Token.Used = true
	if state.Token.SingleUse {
		if err := im.v.dropToken(tx, k.ID, state.Token); err != nil {
			return err
		}
	}
	if !im.again {
		ver := im.ver
		created.Attributes = maps.Clone(created.Attributes)
		if created.Attributes == nil {
			created.Attributes = map[string]string{}
		}
		created.Attributes["import-path"] = string(im.issued.Path)
		if err := keepVersion(tx, ver, created); err != nil {
			return err
		}
		if k.Version == 0 {
			k.Rotated = ver.Created
		}
	}
	k.State, k.Version, k.ValidTo = Enabled, 1, im.material.ValidTo
	tx.Put(importPathOf(k.ID), encode(state))
	tx.Put(keyPath(k.ID), encode(k))
	im.v.markClock(tx)
	im.key = k
	return nil
}

// current returns the CMK as it is now, if it still has or lacks its material.
func (im *importing) current(tx *keystore.Tx) (k Key, err error) {
	path := keyPath(im.t.ID)
	r, err := tx.Get(path)
	if err != nil {
		return k, err
	}
	if k, err = decode[Key](path, r.Value); err != nil {
		return k, err
	}
	if !k.State.allows(OpImportKeyMaterial) {
		return k, &Error{Op: OpImportKeyMaterial, Key: k.ID, State: k.State, Err: ErrKeyState}
	}
	has := false
	if k.Version > 0 {
		path := versionPath(k.ID, k.Version)
		r, err := tx.Get(path)
		if err != nil {
			return k, err
		}
		ver, err := decode[version](path, r.Value)
		if err != nil {
			return k, err
		}
		has = ver.Material != ""
	}
	if has != im.again {
		return k, errStale
	}
	return k, nil
}

// endTry counts a try as failed, unless neither token nor material was to blame. At
// the last failed try the wrapping key goes.
func (v *Vault) endTry(tx *keystore.Tx, in intent, class string) error {
	if in.Token == "" {
		return nil
	}
	state, err := getImport(tx, in.Key)
	if err != nil || state.Token == nil || state.Token.Serial != in.Token {
		return err
	}
	state.Token.Running--
	if class == errorName(ErrImport) || class == abandoned {
		state.Token.Failed++
	}
	if state.Token.Failed >= tokenTries {
		if err := v.dropToken(tx, in.Key, state.Token); err != nil {
			return err
		}
	}
	tx.Put(importPathOf(in.Key), encode(state))
	return nil
}

// importOf reads what is kept of a CMK's import.
func (v *Vault) importOf(ctx context.Context, key string) (importState, error) {
	path := importPathOf(key)
	r, err := v.store.Get(ctx, path)
	if err != nil {
		return importState{}, missing(err, "import of key "+key)
	}
	return decode[importState](path, r.Value)
}
