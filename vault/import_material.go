package vault

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/pkcs8"
	"strongroom.example/internal/unwrap"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/bindingrecords"
	"strongroom.example/vault/internal/devicekey"
	"strongroom.example/vault/internal/importtoken"
	"strongroom.example/vault/internal/inputcopy"
	"strongroom.example/vault/internal/keyid"
	"strongroom.example/vault/internal/wrapping"
)

// ImportMaterial is the wrapped material that its owner sends.
type ImportMaterial struct {
	// Token is the token of ParametersForImport.
	Token []byte
	// EncryptedMaterial is the material, wrapped under the public key of ParametersForImport
	// with the token's algorithm.
	EncryptedMaterial []byte
	// PublicKey is optional: the expected public half of a private key, as X.509
	// SubjectPublicKeyInfo in DER. A private key with another public half is rejected before
	// the CMK is bound to it. Its identifier id-RSASSA-PSS restricts the CMK as that of the
	// private key does. On PathDevice this is the only check by which the host can detect
	// that the file holds another key than its owner means, or restricts it.
	PublicKey []byte
	// ValidTo is the time at which the vault destroys the material. Zero means never.
	ValidTo time.Time
}

// maxPublicKey is longer in bytes than the SubjectPublicKeyInfo of any spec.
const maxPublicKey = 1024

// ImportKeyMaterial imports material into a CMK of OriginExternal and enables the CMK. The
// first import binds the CMK permanently: later imports accept only the same material,
// after it was deleted or expired, or to change ValidTo. Material that this vault has for
// another usage or spec is rejected. Two CMKs of the same usage and spec may have the same
// material, but do not decrypt each other's ciphertexts.
//
// A private key is PKCS #8 (RFC 5208, RFC 5958) in DER, without a password and without
// trailing data:
//
//   - RSA of the spec's length, with two primes and an odd public exponent from 65537 to
//     2^31-1. A TPM accepts 65537 only. A key with the identifier id-RSASSA-PSS can be
//     imported for signing only, and is restricted to RSA-PSS
//     (KeyVersion.SignAlgorithms).
//   - EC on the spec's named curve, SM2, or Ed25519. The public half is optional, and
//     must match the private key.
//
// Material that does not unwrap is reported with the same error for all causes, and counts
// as a failed attempt: the token becomes invalid after five.
//
// On PathHost, material that unwraps correctly from RSA_AES_KEY_WRAP but is not a key that
// the CMK accepts is reported with an error that names the fault and the command that
// converts the key. Such an error does not count as a failed attempt, because AES-KWP
// authenticates the material.
//
// On PathDevice the host sees only the public half of a private key. A key that is rejected
// because of it, or that does not compute correctly, is destroyed in the device and counts
// as a failed attempt. Other faults of the file that the device accepts are not detected
// (docs/import.md); PublicKey excludes another key, and keeps a restriction to RSA-PSS.
//
// Setting an earlier ValidTo than the material has also needs the permission to
// DeleteImportedKeyMaterial, because it deletes the material at that time. Setting a later
// ValidTo or none does not, and neither does any ValidTo if the CMK has no material.
//
// Errors:
//
//   - ErrImportToken: the token is not accepted.
//   - ErrOtherMaterial: the material is not that of the first import.
//   - ErrImport: every other fault of the material.
//   - ErrInvalid: ValidTo has passed, or PublicKey is not valid for the CMK.
//   - ErrTooLarge: the wrapped material is too long.
//   - ErrUnsupported: the CMK has another origin.
//   - ErrKeyState, ErrDenied, ErrUnavailable.
func (c Client) ImportKeyMaterial(ctx context.Context, key string, m ImportMaterial) (Key, error) {
	if len(m.EncryptedMaterial) > unwrap.MaxCiphertext {
		return Key{}, c.argumentError(ctx, request{op: OpImportKeyMaterial, key: key},
			fmt.Errorf("%w: wrapped material has %d bytes, the limit is %d", ErrTooLarge, len(m.EncryptedMaterial), unwrap.MaxCiphertext))
	}
	m.Token, m.EncryptedMaterial, m.PublicKey = inputcopy.AtMost(m.Token, importtoken.Size), slices.Clone(m.EncryptedMaterial), inputcopy.AtMost(m.PublicKey, maxPublicKey)
	q := request{op: OpImportKeyMaterial, key: key, size: len(m.EncryptedMaterial), validTo: m.ValidTo}
	k, err := operate(ctx, c, q, func(ctx context.Context, d *decision) (Key, error) {
		return d.importMaterial(ctx, m)
	}, nil)
	if err == nil {
		c.vault.scheduleExpiry(context.WithoutCancel(ctx), k.ID)
	}
	return k, err
}

// importMaterial runs one import:
//
//	check → count the attempt → unwrap into the driver → bind, keep and enable
//
// The attempt is counted durably, with the intent, before anything is unwrapped.
func (d *decision) importMaterial(ctx context.Context, m ImportMaterial) (k Key, err error) {
	im, err := d.client.vault.checkImport(ctx, d.t, m)
	if err != nil {
		return k, d.fail(ctx, err)
	}
	d.rec.KeyVersion, d.rec.Algorithm, d.rec.Detail = 1, string(im.ver.Algorithm), im.detail
	if err := im.restrict(); err != nil {
		return k, d.fail(ctx, err)
	}
	defer im.wipe()
	err = d.createMaterial(ctx, materialPlan{
		ver: im.ver, token: im.token.Serial.String(), compared: im.reimport,
		begin: im.countAttempt, create: im.unwrapIntoDriver,
		keep: func(tx *keystore.Tx, made madeKey) (err error) {
			k, err = im.keep(tx, made)
			return err
		},
	})
	return k, err
}

// importing is one import in progress.
type importing struct {
	v        *Vault
	t        *target
	material ImportMaterial
	expected pkcs8.Public // its Key is nil if any is accepted
	token    importtoken.Token
	row      wrapping.Row
	ver      storedVersion
	id       driver.MaterialID
	// reimport: the CMK has its material already, and the imported material must be the same.
	reimport     bool
	issued       importtoken.Issued // set by countAttempt
	fingerprints []devicekey.Fingerprint
	detail       map[string]string // of the audit record
}

// checkImport makes all checks that need no unwrapping.
func (v *Vault) checkImport(ctx context.Context, t *target, m ImportMaterial) (*importing, error) {
	now := v.deadline.Now()
	if !m.ValidTo.IsZero() && (!m.ValidTo.After(now) || !m.ValidTo.Before(year10000())) {
		return nil, invalid("ValidTo %v must be after now (%v) and before the year 10000; zero means never", m.ValidTo, now)
	}
	expected, err := m.expected(t.Key)
	if err != nil {
		return nil, err
	}
	if t.expired {
		if !t.due(v.confirmedNow()) {
			return nil, fmt.Errorf("%w: the time of day, by which the material has expired, is in doubt; set the clock right or call ConfirmTime", ErrUnavailable)
		}
		return nil, cmp.Or(v.expireMaterial(ctx, t.ID), errConflict)
	}
	im := &importing{v: v, t: t, material: m, expected: expected, detail: map[string]string{}}
	im.material.ValidTo = m.ValidTo.UTC().Round(0)
	if !m.ValidTo.IsZero() {
		im.detail["validTo"] = im.material.ValidTo.Format(time.RFC3339)
	}
	if err := im.readToken(); err != nil {
		return nil, err
	}
	if im.ver, err = v.newVersion(t.Key, 1, now.UTC()); err != nil {
		return nil, err
	}
	if im.id, err = im.ver.material(); err != nil || t.Version == 0 {
		return im, err
	}
	first, err := v.records.version(ctx, t.ID, 1)
	im.ver.Created, im.reimport = first.Created, first.Material != ""
	im.ver.SignAlgorithms, im.ver.Series = first.SignAlgorithms, first.Series
	return im, err
}

// restrict applies the restriction that the expected public half names. The host does not
// see the file on path DEVICE, and there the device forgets a restriction.
func (im *importing) restrict() error {
	pss, err := im.expected.PSS(im.ver.spec())
	if err == nil {
		err = im.ver.restrict(pss)
	}
	var fault *pkcs8.Error
	if errors.As(err, &fault) {
		return &wrapping.UnacceptableKey{Fault: fault}
	}
	return err
}

// expected parses PublicKey, which may be empty.
func (m ImportMaterial) expected(k Key) (pkcs8.Public, error) {
	if len(m.PublicKey) == 0 {
		return pkcs8.Public{}, nil
	}
	if k.Usage != SignVerify && k.Usage != AsymmetricDecrypt {
		return pkcs8.Public{}, invalid("PublicKey applies to private keys only; the CMK is %s", k.Spec)
	}
	public, err := pkcs8.ParsePublic(m.PublicKey)
	if err != nil {
		return pkcs8.Public{}, invalid("PublicKey is not SubjectPublicKeyInfo in DER; make it with: openssl pkey -in key -pubout -outform DER -out public.der")
	}
	return public, nil
}

// checkExpected rejects a private key whose public half is not the expected one.
func (im *importing) checkExpected(publicDER []byte) error {
	if im.expected.Key == nil {
		return nil
	}
	public, err := pkcs8.ParsePublic(publicDER)
	if err != nil {
		return fmt.Errorf("%w: the driver returned an invalid public key", ErrUnavailable)
	}
	if key, ok := public.Key.(interface{ Equal(crypto.PublicKey) bool }); !ok || !key.Equal(im.expected.Key) {
		return fmt.Errorf("%w: the public half of the private key is not ImportMaterial.PublicKey", ErrImport)
	}
	return nil
}

// wipe wipes the values that were computed with the material.
func (im *importing) wipe() { devicekey.WipeAll(im.fingerprints) }

// readToken checks the token on its own; countAttempt checks that it is the CMK's newest.
func (im *importing) readToken() (err error) {
	if im.token, err = im.v.tokens().Open(im.material.Token); err != nil {
		return err
	}
	if id, ok := keyid.Parse(im.t.ID); !ok || id != im.token.Key {
		return fmt.Errorf("%w: the token is for another CMK", ErrImportToken)
	}
	row, ok := wrapping.Of(im.token.Algorithm)
	if !ok {
		return fmt.Errorf("%w: wrapping algorithm %d of an import token", ErrCorrupt, im.token.Algorithm)
	}
	im.row = row
	im.detail["algorithm"] = row.Algorithm
	return nil
}

// year10000 is the first time that a record cannot represent. It is compared as a time,
// because a year may need more bits than an int has.
func year10000() time.Time { return time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }

// unwrapIntoDriver unwraps the material into the driver and computes its fingerprints. If
// the CMK has its material already, it destroys the new copy again, and keep compares the
// fingerprints.
func (im *importing) unwrapIntoDriver(ctx context.Context) (created driver.Created, err error) {
	d := im.v.drivers[im.t.Driver]
	var host []devicekey.Fingerprint
	defer func() { devicekey.WipeAll(host) }()
	if created, host, err = im.unwrapWith(ctx, d); err != nil {
		return created, err
	}
	if err := im.checkExpected(created.PublicDER); err != nil {
		return created, err
	}
	key, err := devicekey.Opened(d.OpenKey(ctx, im.id, im.ver.spec(), created.Blob))
	if err != nil {
		return created, err
	}
	defer key.Close()
	own, err := im.v.commitment().FingerprintOf(ctx, key, im.ver.spec(), created.PublicDER)
	defer own.Wipe()
	im.wipe() // from an earlier attempt with the driver
	im.fingerprints = append([]devicekey.Fingerprint{own}, host...)
	if err == nil && im.reimport {
		err = d.DestroyKey(ctx, im.id, created.Blob)
	}
	return created, err
}

// unwrapWith unwraps the material with the wrapping key of the token, inside the device or
// in the host, and imports it into the driver. It returns the fingerprints of material that
// the host held.
func (im *importing) unwrapWith(ctx context.Context, d driver.Driver) (created driver.Created, host []devicekey.Fingerprint, err error) {
	wrapped := driver.Wrapped{Alg: im.row.DriverAlg, Ciphertext: im.material.EncryptedMaterial}
	if wrapped.With, err = im.openWrappingKey(ctx); err != nil {
		return created, nil, err
	}
	defer wrapped.With.Close()
	if im.issued.Path == wrapping.Device {
		created, err = d.(driver.WrappedImporter).ImportWrapped(ctx, im.id, im.ver.spec(), wrapped)
	} else {
		created, host, err = im.importFromHost(ctx, wrapped)
	}
	if err != nil {
		err = wrapping.Rejection(im.issued.Path, err)
	}
	return created, host, err
}

// openWrappingKey opens the wrapping key of the token.
func (im *importing) openWrappingKey(ctx context.Context) (driver.Key, error) {
	d, err := im.v.driver(im.issued.Driver)
	if err != nil {
		return nil, err
	}
	r, err := im.v.store.Get(ctx, materialPath(im.token.Serial))
	if errors.Is(err, keystore.ErrNotFound) {
		return nil, errConflict // the token was replaced in between
	}
	if err != nil {
		return nil, err
	}
	key, err := devicekey.Opened(d.OpenKey(ctx, im.token.Serial, im.issued.Spec, r.Value))
	if errors.Is(err, driver.Authentic) || errors.Is(err, driver.Invalid) {
		return nil, fmt.Errorf("%w: wrapping key: %w", ErrCorrupt, err)
	}
	return key, err
}

// importFromHost unwraps the material in locked memory of this process, and imports it into
// the driver from there.
func (im *importing) importFromHost(ctx context.Context, w driver.Wrapped) (created driver.Created, prints []devicekey.Fingerprint, err error) {
	v, spec := im.v, im.ver.spec()
	h := wrapping.HostUnwrapper{
		Arena: v.arena, Row: im.row, Spec: spec, RejectionKey: im.rejectionKey,
		Size: wrapping.MaterialSize(spec, im.t.Spec == Symmetric, v.cfg.Edition),
	}
	err = h.Unwrap(ctx, w, func(material []byte, pss *pkcs8.PSS) error {
		if err := im.ver.restrict(pss); err != nil {
			return err
		}
		if wrapping.Symmetric(spec) {
			prints = devicekey.HostFingerprints(material, v.cfg.Edition)
		}
		importer, err := im.row.HostImporter(v.drivers[softDriver], v.drivers[im.t.Driver], spec)
		if err != nil {
			return err
		}
		created, err = importer.ImportKey(ctx, im.id, spec, material)
		return err
	})
	return created, prints, err
}

// rejectionKey computes the key with the given name for a wrapping.HostUnwrapper.
func (im *importing) rejectionKey(key []byte, name string) {
	im.v.suite.MACTo(key, im.v.secrets.Rejection(), []byte(im.issued.Serial), []byte(name))
}

// keep binds the CMK to the material, stores the material and enables the CMK, unless the
// CMK changed while the driver worked, or the material is not that of the CMK.
func (im *importing) keep(tx *keystore.Tx, made madeKey) (Key, error) {
	k, err := im.current(tx)
	if err != nil {
		return k, err
	}
	state, err := getImport(tx, k.ID)
	if err != nil {
		return k, err
	}
	if state.Newest == nil || state.Newest.Serial != im.issued.Serial {
		return k, errConflict
	}
	use := devicekey.Use{Usage: string(k.Usage), Spec: string(k.Spec)}
	if state.Commitment, err = im.v.commitment().Bind(tx, k.ID, state.Commitment, use, im.fingerprints); err != nil {
		return k, err
	}
	state.Newest.Succeed()
	if state.Newest.SingleUse {
		if err := im.v.revokeToken(tx, k.ID, state.Newest); err != nil {
			return k, err
		}
	}
	if !im.reimport {
		if err := im.keepMaterial(tx, &k, made); err != nil {
			return k, err
		}
	}
	k.State, k.Version, k.ValidTo = Enabled, 1, im.material.ValidTo
	tx.Put(importPathOf(k.ID), encode(state))
	tx.Put(keyPath(k.ID), encode(k))
	im.v.recordClock(tx)
	return k, nil
}

// keepMaterial makes the material version 1 of the CMK.
func (im *importing) keepMaterial(tx *keystore.Tx, k *Key, made madeKey) error {
	attributes := map[string]string{"import-path": im.issued.Path}
	maps.Copy(attributes, made.Attributes)
	made.Attributes = attributes
	if k.Version == 0 {
		k.Rotated = im.ver.Created
	}
	k.setLocation(im.ver)
	return putVersion(tx, im.ver, made)
}

// current returns the CMK as it is now, or errConflict if it gained or lost its material.
func (im *importing) current(tx *keystore.Tx) (k Key, err error) {
	if k, err = keyInTx(tx, im.t.ID); err != nil {
		return k, err
	}
	if !k.State.allows(OpImportKeyMaterial) {
		return k, k.State.refuse(OpImportKeyMaterial, k.ID)
	}
	if now := (target{Key: k}); now.shortens(im.material.ValidTo) {
		if !k.ValidTo.Equal(im.t.ValidTo) {
			return k, errConflict // another import set a later ValidTo, which this caller may not be allowed to shorten
		}
		if err := bindingrecords.CheckUnbound(tx, k.ID); err != nil { // an earlier end is a deletion
			return k, err
		}
	}
	if has, err := hasMaterial(tx, k); err != nil || has != im.reimport {
		return k, cmp.Or(err, errConflict)
	}
	return k, nil
}
