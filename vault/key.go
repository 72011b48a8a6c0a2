package vault

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/usecount"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/importtoken"
	"strongroom.example/vault/internal/inputtext"
	"strongroom.example/vault/internal/keyid"
	"strongroom.example/vault/internal/record"
	"strongroom.example/vault/internal/wrapping"
)

// A Residence is the place where material is kept.
type Residence string

// The residences.
const (
	// Resident material is kept in the device and never leaves it.
	Resident Residence = "RESIDENT"
	// Wrapped material is stored encrypted, and used in locked memory. It is as strong as
	// the weakest protector of the root.
	Wrapped Residence = "WRAPPED"
)

// A Provenance is the place where material was generated. A move does not change it:
// resident material with a provenance other than ProvenanceDevice was once outside the
// device.
type Provenance string

// The provenances.
const (
	// ProvenanceDevice: in the device, which the material has never left.
	ProvenanceDevice Provenance = "DEVICE"
	// ProvenanceVault: in this process, by the software engine.
	ProvenanceVault Provenance = "VAULT"
	// ProvenanceImported: elsewhere, by the owner.
	ProvenanceImported Provenance = "IMPORTED"
)

// KeyOptions describe a new CMK. The zero value describes a symmetric key on the default
// driver.
type KeyOptions struct {
	// Alias is an optional second name: 1 to 250 of A–Z a–z 0–9 _ - / and :, beginning with
	// a letter or digit. It is unique in the vault. AddAlias adds others.
	Alias string
	// Description has at most 1024 bytes.
	Description string
	// Tags are at most 50, with keys of 1 to 128 bytes and values of at most 256 bytes.
	// Together with the description, and with the aliases after the first, they have at most
	// 30 KiB as JSON, which encodes a quotation mark or backslash as two bytes and a control
	// character as six.
	Tags map[string]string
	// Usage and Spec: empty means EncryptDecrypt and Symmetric. If one of them determines
	// the other, the other may be empty too.
	Usage KeyUsage
	Spec  KeySpec
	// Origin: empty means OriginVault. A CMK of OriginExternal is created without material,
	// in the state PendingImport; see ParametersForImport.
	Origin Origin
	// Driver names one of Config.Drivers. Empty means the default driver, or the software
	// engine if the default driver does not support Spec or is slow at it.
	Driver string
	// MinLevel is the lowest protection level that the CMK's material may have, in every
	// version and wherever it is moved: SOFTWARE < TPM < HSM. CreateKey, RotateKey, MoveKey
	// and imports fail with ErrUnsupported below it. If it is set, CreateKey does not choose
	// the software engine instead of a device that is slow at Spec. Empty means that only
	// Config.MinLevel applies.
	MinLevel driver.ProtectionLevel
}

// Key is the description of a CMK. It holds no material.
type Key struct {
	ID string `json:"id"`
	// Alias is the first alias, and OtherAliases are those that AddAlias and MoveAlias added.
	Alias        string            `json:"alias,omitempty"`
	OtherAliases []string          `json:"otherAliases,omitempty"`
	Description  string            `json:"description,omitempty"`
	Tags         map[string]string `json:"tags,omitempty"`
	State        KeyState          `json:"state"`
	Usage        KeyUsage          `json:"usage"`
	Spec         KeySpec           `json:"spec"`
	Origin       Origin            `json:"origin"`
	Created      time.Time         `json:"created"`
	Creator      Principal         `json:"creator"`
	// Version is the number of the primary version, which encrypts; older versions only
	// decrypt. Versions are numbered from 1 without gaps. 0 means that no material was
	// imported yet: the first import makes version 1, which remains the only one.
	Version uint32 `json:"version"`
	// ValidTo is the time when imported material expires. Zero means never.
	ValidTo time.Time `json:"validTo,omitzero"`
	// DeletionDate is the time from which the vault destroys a CMK that is PendingDeletion.
	// It remains in a CMK that is Destroyed.
	DeletionDate time.Time `json:"deletionDate,omitzero"`
	// Destroyed is the time when all material was destroyed. Zero means that it was not.
	Destroyed time.Time `json:"destroyed,omitzero"`
	// Rotated is the time when the primary version was made.
	Rotated time.Time `json:"rotated"`
	// Residence, Level, Driver and Provenance describe the primary version.
	Residence  Residence              `json:"residence"`
	Level      driver.ProtectionLevel `json:"level"`
	Driver     string                 `json:"driver"`
	Provenance Provenance             `json:"provenance"`
	// MinLevel is the value of KeyOptions.MinLevel.
	MinLevel driver.ProtectionLevel `json:"minLevel,omitempty"`
	// Rotation is set by SetRotation, and NextRotation is the time of the next rotation that
	// follows from Rotation.Days. It is zero if there is none.
	Rotation     Rotation  `json:"rotation,omitzero"`
	NextRotation time.Time `json:"nextRotation,omitzero"`
	// MinVersion is the oldest version that decrypts; see SetMinimumVersion. 0 means all.
	MinVersion uint32 `json:"minVersion,omitempty"`
	// Uses are those of all versions. Only DescribeKey and DescribeKeys set it.
	Uses *KeyUses `json:"uses,omitempty"`
}

// clone returns a Key that the caller may change. The map and the slice of k itself belong to the
// cache.
func (k Key) clone() Key {
	k.Tags, k.OtherAliases = maps.Clone(k.Tags), slices.Clone(k.OtherAliases)
	return k
}

// decodeKey is record.Decode for a CMK. It reads the form that encode writes by itself, because
// encoding/json took a third of the time of a listing, and leaves every other form to it.
func decodeKey(path string, stored []byte) (Key, error) {
	if k, ok := readKey(stored); ok {
		return k, nil
	}
	return record.Decode[Key](path, stored)
}

// readKey reads a record in the form that encode writes. It returns false for every other
// form; see record.Fields.
func readKey(stored []byte) (k Key, ok bool) {
	r := record.FieldsOf(stored)
	record.Text(&r, "id", &k.ID)
	record.Text(&r, "alias", &k.Alias)
	r.List("otherAliases", &k.OtherAliases)
	record.Text(&r, "description", &k.Description)
	r.Texts("tags", &k.Tags)
	record.Text(&r, "state", &k.State)
	record.Text(&r, "usage", &k.Usage)
	record.Text(&r, "spec", &k.Spec)
	record.Text(&r, "origin", &k.Origin)
	r.Time("created", &k.Created)
	record.Text(&r, "creator", &k.Creator)
	record.Number(&r, "version", 32, &k.Version)
	r.Time("validTo", &k.ValidTo)
	r.Time("deletionDate", &k.DeletionDate)
	r.Time("destroyed", &k.Destroyed)
	r.Time("rotated", &k.Rotated)
	record.Text(&r, "residence", &k.Residence)
	record.Text(&r, "level", &k.Level)
	record.Text(&r, "driver", &k.Driver)
	record.Text(&r, "provenance", &k.Provenance)
	record.Text(&r, "minLevel", &k.MinLevel)
	r.Object("rotation", func() {
		record.Number(&r, "days", strconv.IntSize-1, &k.Rotation.Days)
		record.Number(&r, "uses", 64, &k.Rotation.Uses)
	})
	r.Time("nextRotation", &k.NextRotation)
	record.Number(&r, "minVersion", 32, &k.MinVersion)
	return k, r.End()
}

// setLocation copies the place of the primary version from ver.
func (k *Key) setLocation(ver storedVersion) {
	k.Residence, k.Level, k.Driver, k.Provenance = ver.Residence, ver.Level, ver.Driver, ver.Provenance
}

// KeyVersion is the description of one version of a CMK.
type KeyVersion struct {
	Key        string                 `json:"key"`
	Number     uint32                 `json:"number"`
	Created    time.Time              `json:"created"`
	Origin     Origin                 `json:"origin"`
	Residence  Residence              `json:"residence"`
	Level      driver.ProtectionLevel `json:"level"`
	Driver     string                 `json:"driver"`
	Provenance Provenance             `json:"provenance"`
	// SignAlgorithms lists the algorithms to which imported material is restricted; nil
	// means those of the spec. An RSA key with the identifier id-RSASSA-PSS signs with
	// RSA-PSS only (RFC 4055).
	SignAlgorithms []SignAlgorithm `json:"signAlgorithms,omitempty"`
	// Attributes are the properties that the device reports for the material.
	Attributes map[string]string `json:"attributes,omitempty"`
	// Trimmed is the time when the material was destroyed by TrimKeyVersion. Zero means that
	// it was not.
	Trimmed time.Time `json:"trimmed,omitzero"`
	Uses    KeyUses   `json:"uses,omitzero"`
}

// CreateKey makes a CMK. It also needs the permission to SetAlias if o has an alias, and
// the permission to TagKey if o has tags. Errors: ErrInvalid, ErrTooLarge, ErrExists for an
// alias that is in use, ErrUnsupported, ErrDenied.
func (c Client) CreateKey(ctx context.Context, o KeyOptions) (Key, error) {
	o, err := c.newKeyOptions(o)
	if err != nil {
		return Key{}, c.argumentError(ctx, request{op: OpCreateKey}, err)
	}
	q := request{op: OpCreateKey, onVault: true, alias: o.Alias, tags: o.Tags, driver: o.Driver}
	return operate(ctx, c, q, func(ctx context.Context, d *decision) (Key, error) {
		k, ver, err := c.newKey(o)
		if err != nil {
			return Key{}, d.fail(ctx, err)
		}
		if o.Origin == OriginExternal {
			return d.createWithoutMaterial(ctx, k)
		}
		return d.createWithMaterial(ctx, k, ver)
	}, nil)
}

// newKey describes a new CMK and its first version.
func (c Client) newKey(o KeyOptions) (Key, storedVersion, error) {
	v := c.vault
	if v.drivers[o.Driver] == nil {
		return Key{}, storedVersion{}, invalid("driver %.80q is not among Config.Drivers", o.Driver)
	}
	now := v.clock.Now().UTC()
	k := Key{
		ID: keyid.New(v.entropy.ID()), Alias: o.Alias, Description: o.Description, Tags: o.Tags, State: Creating, Usage: o.Usage, Spec: o.Spec,
		Origin: o.Origin, Created: now, Creator: c.principal, Version: 1, Rotated: now, Driver: o.Driver, MinLevel: o.MinLevel,
	}
	ver, err := v.newVersion(k, 1, now)
	k.setLocation(ver)
	return k, ver, err
}

// createWithMaterial creates a CMK whose material the driver generates. The CMK is in state
// Creating until the outcome.
func (d *decision) createWithMaterial(ctx context.Context, k Key, ver storedVersion) (made Key, err error) {
	d.rec.Key, d.rec.KeyVersion, d.rec.Driver, d.rec.Algorithm = k.ID, 1, k.Driver, string(ver.Algorithm)
	err = d.createMaterial(ctx, materialPlan{
		ver:   ver,
		begin: func(tx *keystore.Tx) error { return putNewKey(tx, k) },
		keep: func(tx *keystore.Tx, material madeKey) error {
			if err := putVersion(tx, ver, material); err != nil {
				return err
			}
			if made, err = keyInTx(tx, k.ID); err != nil { // read again, because its alias may have been removed
				return err
			}
			made.State = Enabled
			tx.Put(keyPath(k.ID), encode(made))
			return nil
		},
	})
	return made, err
}

// createWithoutMaterial creates a CMK whose material is to be imported.
func (d *decision) createWithoutMaterial(ctx context.Context, k Key) (Key, error) {
	k.State, k.Version = PendingImport, 0
	d.rec.Key, d.rec.Driver = k.ID, k.Driver
	d.rec.Detail = map[string]string{"origin": string(k.Origin)}
	if k.Alias != "" {
		d.rec.Detail["alias"] = k.Alias
	}
	return k, d.commit(ctx, commitPlan{change: func(tx *keystore.Tx) error {
		tx.Put(importPathOf(k.ID), encode(importtoken.State{}))
		return putNewKey(tx, k)
	}})
}

// putNewKey stores a new CMK and its alias.
func putNewKey(tx *keystore.Tx, k Key) error {
	if k.Alias != "" {
		if tx.Version(aliasPath(k.Alias)) != 0 {
			return fmt.Errorf("%w: alias %q", ErrExists, k.Alias)
		}
		tx.Put(aliasPath(k.Alias), []byte(k.ID))
	}
	tx.Put(keyPath(k.ID), encode(k))
	return nil
}

// removeNewKey deletes a CMK whose creation failed, with its alias.
func removeNewKey(tx *keystore.Tx, id string) error {
	k, err := keyInTx(tx, id)
	if err != nil {
		return err
	}
	if k.State != Creating {
		return fmt.Errorf("%w: an intent to create key %s, which is %s", ErrCorrupt, id, k.State)
	}
	tx.Delete(keyPath(id))
	return setAliases(tx, &k, nil)
}

// newKeyOptions checks options and fills in defaults.
func (c Client) newKeyOptions(o KeyOptions) (KeyOptions, error) {
	if err := c.checkPrincipal(); err != nil {
		return o, err
	}
	row, err := chooseSpec(o.Spec, o.Usage, c.vault.cfg.Edition)
	if err != nil {
		return o, err
	}
	o.Spec, o.Usage = row.spec, row.usage
	if o.Origin == "" {
		o.Origin = OriginVault
	}
	if o.Origin != OriginVault && o.Origin != OriginExternal {
		return o, invalid("origin %.80q is neither %s nor %s", o.Origin, OriginVault, OriginExternal)
	}
	if err := checkLevelName("KeyOptions.MinLevel", o.MinLevel); err != nil {
		return o, err
	}
	if o.Driver == "" {
		least, _ := c.vault.minLevel(o.MinLevel)
		o.Driver = c.vault.driverFor(row, o.Origin, least)
	}
	if o.Alias != "" {
		if err := checkAlias(o.Alias); err != nil {
			return o, err
		}
	}
	if len(o.Tags) == 0 {
		return o, checkText(Key{Description: o.Description})
	}
	if o.Tags, err = inputtext.CopyTags(o.Tags); err != nil {
		return o, err
	}
	return o, checkText(Key{Description: o.Description, Tags: o.Tags})
}

// driverFor returns the default driver, or the software engine if the default driver does
// not support or import the spec, or is slow at it. If least is above the engine's level,
// slowness does not matter.
func (v *Vault) driverFor(row specRow, origin Origin, least driver.ProtectionLevel) string {
	patient := least != "" && least != driver.LevelSoftware
	d, spec := v.drivers[v.cfg.Driver], row.device(v.suite)
	if can, ok := d.Info().Find(spec); ok && (patient || !can.Slow) && (origin == OriginVault || wrapping.Importable(d, spec)) {
		return v.cfg.Driver
	}
	return softDriver
}

// KeyUses are the successful uses of a CMK or of one of its versions. They are exact: they
// include every operation whose result was released, also after a crash, and at most those
// beyond it whose record is in the audit log.
type KeyUses struct {
	// Protected is the number of ciphertexts, data keys, signatures and MACs that were made:
	// by Encrypt, ReEncrypt (the new ciphertext), GenerateDataKey,
	// GenerateDataKeyTo, GenerateDataKeyWithoutPlaintext, GenerateDataKeyPair,
	// GenerateDataKeyPairWithoutPlaintext, CreateDataKey, ImportDataKey, AsymmetricEncrypt, Sign
	// and GenerateMac.
	Protected uint64 `json:"protected"`
	// Processed is the number of those that were opened or verified: by Decrypt, DecryptTo,
	// ReEncrypt (the former ciphertext), OpenDataKey, OpenNamedDataKey, OpenNamedDataKeyTo,
	// ImportDataKeyCiphertext, AsymmetricDecrypt, Verify and VerifyMac.
	Processed uint64 `json:"processed"`
	// LastProtected and LastProcessed are the times of the last such use, in microseconds.
	// Zero means never.
	LastProtected time.Time `json:"lastProtected,omitzero"`
	LastProcessed time.Time `json:"lastProcessed,omitzero"`
	// Incomplete reports that the numbers may be too low. It is true for versions that
	// were made by a release of this package that did not count, and for those that were made
	// before a Repair or a Restore.
	Incomplete bool `json:"incomplete,omitempty"`
}

// add adds the uses of another version.
func (u KeyUses) add(w KeyUses) KeyUses {
	u.Protected += w.Protected
	u.Processed += w.Processed
	u.Incomplete = u.Incomplete || w.Incomplete
	if w.LastProtected.After(u.LastProtected) {
		u.LastProtected = w.LastProtected
	}
	if w.LastProcessed.After(u.LastProcessed) {
		u.LastProcessed = w.LastProcessed
	}
	return u
}

// usesOf returns the uses of a version.
func (v *Vault) usesOf(ver storedVersion) KeyUses {
	id, _ := keyid.Parse(ver.Key)
	n := v.uses.Of(usecount.Version{Key: id, Number: ver.Number})
	return KeyUses{n.Protected, n.Processed, n.LastProtected, n.LastProcessed, ver.Series != v.uses.Series}
}

// described returns a Key with its uses, which the caller may change.
func (v *Vault) described(ctx context.Context, t *target) (Key, error) {
	k := t.clone()
	k.Uses = new(KeyUses)
	for n := uint32(1); n <= t.Version && t.State != Creating; n++ {
		ver, err := v.records.version(ctx, t.ID, n)
		if err != nil {
			return Key{}, err
		}
		*k.Uses = k.Uses.add(v.usesOf(ver))
	}
	return k, nil
}
