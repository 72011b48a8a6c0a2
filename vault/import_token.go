package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/unwrap"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/importtoken"
	"strongroom.example/vault/internal/intentrecords"
	"strongroom.example/vault/internal/keyid"
	"strongroom.example/vault/internal/record"
	"strongroom.example/vault/internal/tasks"
	"strongroom.example/vault/internal/wrapping"
)

// A WrappingAlgorithm is an algorithm that wraps key material for import.
type WrappingAlgorithm string

// The wrapping algorithms. Symmetric material can be wrapped by any of them, and a private
// key, as PKCS #8 DER, by those of RSA_AES_KEY_WRAP. The FIPS edition does not allow PKCS
// #1 v1.5, SHA-1 and SM2.
//
// OAEP is used without a label, and with the same hash for OAEP and for MGF1. Some
// libraries have other defaults: Java uses SHA-1 for MGF1 with every hash of OAEP. In Java,
// pass OAEPParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256,
// PSource.PSpecified.DEFAULT).
const (
	WrapRSAESPKCS1V15   WrappingAlgorithm = "RSAES_PKCS1_V1_5"
	WrapRSAESOAEPSHA1   WrappingAlgorithm = "RSAES_OAEP_SHA_1"
	WrapRSAESOAEPSHA256 WrappingAlgorithm = "RSAES_OAEP_SHA_256"
	// WrapRSAAESSHA1 and WrapRSAAESSHA256 are CKM_RSA_AES_KEY_WRAP: a fresh AES key of 32
	// bytes (16 and 24 are accepted too), encrypted by OAEP with that hash to 256 bytes,
	// followed by the material wrapped under the AES key by AES-KWP (RFC 5649).
	WrapRSAAESSHA1   WrappingAlgorithm = "RSA_AES_KEY_WRAP_SHA_1"
	WrapRSAAESSHA256 WrappingAlgorithm = "RSA_AES_KEY_WRAP_SHA_256"
	// WrapSM2 is SM2 encryption with the ciphertext in ASN.1, C1 C3 C2 (GM/T 0009).
	WrapSM2 WrappingAlgorithm = "SM2_C1C3C2_ASN1"
)

// An ImportPath is the place where imported material is unwrapped.
type ImportPath string

// The paths.
const (
	// PathAuto selects PathDevice if the CMK's driver can unwrap with the algorithm, and
	// PathHost otherwise. If the request names no algorithm for a private key, the vault
	// prefers one that the device unwraps.
	PathAuto ImportPath = "AUTO"
	// PathDevice: inside the device. The host never sees the material.
	PathDevice ImportPath = "DEVICE"
	// PathHost: in this process, in locked memory.
	PathHost ImportPath = "HOST"
)

// ImportRequest selects how material will be wrapped. The zero value selects a wrapping key
// of RSA-2048 with OAEP and SHA-256, or for a private key RSA_AES_KEY_WRAP with the hash
// with which the device can unwrap, or else SHA-256. With PathDevice and no algorithm, the
// vault selects the first algorithm that the device unwraps for the CMK.
// ImportParameters.Algorithm reports the choice.
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

// wrapping returns what the request selects of the wrapping algorithms.
func (r ImportRequest) wrapping() wrapping.Request {
	return wrapping.Request{Algorithm: string(r.Algorithm), Key: string(r.WrappingKeySpec), Path: string(r.Path)}
}

// ImportParameters are the data with which the owner of material wraps and sends it.
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
	p, err := operate(ctx, c, request{op: OpParametersForImport, key: key}, func(ctx context.Context, d *decision) (ImportParameters, error) {
		plan, err := c.vault.planImport(d.t, r)
		if err != nil {
			return ImportParameters{}, d.fail(ctx, err)
		}
		d.rec.Detail = plan.detail()
		err = d.issueToken(ctx, &plan)
		return plan.parameters, err
	}, nil)
	if err == nil {
		c.vault.scheduleExpiry(context.WithoutCancel(ctx), p.PublicKey.Key)
	}
	return p, err
}

// issueToken makes the wrapping key and replaces the CMK's token.
func (d *decision) issueToken(ctx context.Context, a *importPlan) error {
	v, key := d.client.vault, d.t.ID
	wrapping := storedVersion{Material: a.issued.Serial}
	wrapping.Key, wrapping.Number, wrapping.Driver = key, d.t.Version, a.issued.Driver
	return d.createMaterial(ctx, materialPlan{
		ver: wrapping,
		create: func(ctx context.Context) (driver.Created, error) {
			created, err := v.makeWrappingKey(ctx, *a)
			if err != nil {
				return created, err
			}
			a.token.Public = v.suite.Hash(created.PublicDER)
			a.parameters.PublicKey.DER, a.parameters.Token = created.PublicDER, v.tokens().Seal(a.token)
			return created, nil
		},
		keep: func(tx *keystore.Tx, created madeKey) error {
			tx.PutMaterial(materialPath(a.token.Serial), created.Blob)
			state, err := getImport(tx, key)
			if err != nil {
				return err
			}
			if err := v.revokeToken(tx, key, state.Newest); err != nil {
				return err
			}
			issued := a.issued
			issued.Device = created.objectIn()
			state.Newest = &issued
			tx.Put(importPathOf(key), encode(state))
			v.recordClock(tx)
			return nil
		},
	})
}

// makeWrappingKey makes the wrapping key in the place where the material will be unwrapped.
func (v *Vault) makeWrappingKey(ctx context.Context, a importPlan) (driver.Created, error) {
	d := v.drivers[a.issued.Driver]
	if a.issued.Path == wrapping.Device {
		return d.(driver.WrappedImporter).GenerateWrappingKey(ctx, a.token.Serial, a.issued.Spec.Algorithm)
	}
	return d.GenerateKey(ctx, a.token.Serial, a.issued.Spec)
}

// importPlan is a validated request for import parameters. Its parameters have no token and
// no public key yet.
type importPlan struct {
	parameters ImportParameters
	row        wrapping.Row
	token      importtoken.Token
	issued     importtoken.Issued
}

// detail returns the details for the audit record of the request.
func (a importPlan) detail() map[string]string {
	p := a.parameters
	return map[string]string{"algorithm": string(p.Algorithm), "path": string(p.Path), "validTo": p.ValidTo.Format(time.RFC3339)}
}

// planImport chooses algorithm and path, and sets the fields of the token.
func (v *Vault) planImport(t *target, r ImportRequest) (a importPlan, err error) {
	spec, err := v.deviceSpec(t.Key)
	if err != nil {
		return a, err
	}
	rows, err := wrapping.Choose(r.wrapping(), spec, v.cfg.Edition)
	if err != nil {
		return a, err
	}
	d, err := v.driver(t.Driver)
	if err != nil {
		return a, err
	}
	row, path, err := wrapping.ChoosePath(string(r.Path), d, spec, rows)
	if err != nil {
		return a, err
	}
	a.row = row
	validTo := clock.Within(v.deadline.Now().Add(importtoken.Life)).Truncate(time.Second)
	id := driver.MaterialID(v.entropy.ID())
	a.parameters = ImportParameters{
		PublicKey: PublicKey{Key: t.ID, Spec: KeySpec(a.row.Key)}, Algorithm: WrappingAlgorithm(a.row.Algorithm), ValidTo: validTo,
		MaterialSize: wrapping.MaterialSize(spec, t.Spec == Symmetric, v.cfg.Edition), Path: ImportPath(path),
	}
	a.token = importtoken.Token{Serial: id, Algorithm: a.row.Code, Single: r.SingleUse, ValidTo: validTo}
	a.token.Key, _ = keyid.Parse(t.ID)
	a.issued = importtoken.Issued{
		Serial: id.String(), Driver: softDriver, Path: path, Algorithm: a.row.Algorithm, ValidTo: validTo, SingleUse: r.SingleUse,
	}
	a.issued.Spec, _ = unwrap.KeySpec(a.row.DriverAlg)
	if a.issued.Path == wrapping.Device {
		a.issued.Driver, a.issued.Spec.Usage = t.Driver, driver.Unwrap
	}
	if a.issued.Path == wrapping.Host {
		_, err = a.row.HostImporter(v.drivers[softDriver], d, spec)
	}
	return a, err
}

// deviceSpec returns the spec of a CMK's material in the driver.
func (v *Vault) deviceSpec(k Key) (driver.KeySpec, error) {
	row, err := chooseSpec(k.Spec, k.Usage, v.cfg.Edition)
	return row.device(v.suite), err
}

// tokens computes the MACs of the vault's import tokens.
func (v *Vault) tokens() importtoken.Authority {
	return importtoken.Authority{Suite: v.suite, Vault: v.id, Key: v.secrets.ImportToken()}
}

// countAttempt counts the attempt before anything is unwrapped, so that neither concurrent
// attempts nor killing the process can evade the limit.
func (im *importing) countAttempt(tx *keystore.Tx) error {
	state, err := getImport(tx, im.t.ID)
	if err != nil {
		return err
	}
	if err := state.Begin(im.token, im.v.deadline.Now()); err != nil {
		return err
	}
	tx.Put(importPathOf(im.t.ID), encode(state))
	im.issued = *state.Newest
	im.detail["path"] = im.issued.Path
	im.v.recordClock(tx)
	return nil
}

// recordAttempt ends an attempt. It counts the attempt as failed, unless the cause was
// neither the token nor the material, or the material unwrapped with authentication. After
// the last allowed failure it removes the wrapping key.
func (v *Vault) recordAttempt(tx *keystore.Tx, in intent, class string) error {
	if in.Token == "" {
		return nil
	}
	state, err := getImport(tx, in.Key)
	if err != nil || state.Newest == nil || state.Newest.Serial != in.Token {
		return err
	}
	counts := (class == errorName(ErrImport) || class == classAbandoned) && !in.Uncounted
	if state.Newest.Fail(counts) {
		if err := v.revokeToken(tx, in.Key, state.Newest); err != nil {
			return err
		}
	}
	tx.Put(importPathOf(in.Key), encode(state))
	return nil
}

const imports = "import/"

func importPathOf(key string) string { return imports + key }

// shortens reports whether an import with this ValidTo would end the life of the CMK's
// material earlier. Zero means never.
func (t *target) shortens(validTo time.Time) bool {
	return t.State == Enabled && !validTo.IsZero() && (t.ValidTo.IsZero() || validTo.Before(t.ValidTo))
}

// getImport reads the state of a CMK's import. If there is none yet it returns the zero
// state and no error.
func getImport(tx *keystore.Tx, key string) (importtoken.State, error) {
	return record.ReadIf[importtoken.State](tx, importPathOf(key))
}

// importOf reads the stored state of a CMK's import.
func (v *Vault) importOf(ctx context.Context, key string) (importtoken.State, error) {
	state, err := record.Read[importtoken.State](storeReader{v.store, ctx}, importPathOf(key))
	return state, missing(err, "import of key "+key)
}

// invalidateUsedToken removes the wrapping key of a token with which an import succeeded or was
// attempted.
func (v *Vault) invalidateUsedToken(tx *keystore.Tx, key string) error {
	state, err := getImport(tx, key)
	if err != nil || state.Newest == nil || !state.Newest.Tried {
		return err
	}
	if err := v.revokeToken(tx, key, state.Newest); err != nil {
		return err
	}
	tx.Put(importPathOf(key), encode(state))
	return nil
}

// revokeToken marks a token as removed and deletes its wrapping key. A key in a device is
// deleted by a background task.
func (v *Vault) revokeToken(tx *keystore.Tx, key string, is *importtoken.Issued) error {
	if is == nil || is.Gone {
		return nil
	}
	is.Gone = true
	id, ok := is.WrappingKey()
	if !ok {
		return fmt.Errorf("%w: serial of the import token of key %s", ErrCorrupt, key)
	}
	if is.Path == wrapping.Host {
		tx.Delete(materialPath(id))
		return nil
	}
	blob, err := tx.Get(materialPath(id))
	if err != nil {
		return err
	}
	in := intent{Operation: string(OpExpireImportToken), Key: key, Driver: is.Driver, Device: is.Device, Material: id, Principal: string(principalVault)}
	in.Destruction = &intentrecords.Destruction{Spec: is.Spec, Object: len(blob.Value) == 0}
	tx.Put(intentPath(id), encode(in))
	v.tasks.Schedule(intentPath(id), v.confirmedNow().Add(tasks.Soon))
	return nil
}

// scheduleExpiry schedules the next deadline of a CMK.
func (v *Vault) scheduleExpiry(ctx context.Context, key string) {
	path := importPathOf(key)
	next, err := v.nextDeadline(ctx, key)
	if err != nil && !errors.Is(err, ErrNotFound) {
		next = v.confirmedNow().Add(tasks.RetryDelay)
	}
	v.tasks.Schedule(path, next)
}

// nextDeadline returns the time when the CMK's material or token expires, or zero if
// neither does.
func (v *Vault) nextDeadline(ctx context.Context, key string) (time.Time, error) {
	t, err := v.records.key(ctx, key)
	if err != nil {
		return time.Time{}, err
	}
	state, err := v.importOf(ctx, key)
	if err != nil {
		return time.Time{}, err
	}
	next := t.ValidTo
	if is := state.Newest; is != nil && !is.Gone && (next.IsZero() || is.ValidTo.Before(next)) {
		next = is.ValidTo
	}
	return next, nil
}

// expire removes a CMK's expired material and token.
func (v *Vault) expire(ctx context.Context, key string) error {
	if err := errors.Join(v.expireMaterial(ctx, key), v.expireToken(ctx, key)); err != nil {
		return err
	}
	v.scheduleExpiry(ctx, key)
	return nil
}

// expireToken removes the wrapping key of an expired token.
func (v *Vault) expireToken(ctx context.Context, key string) error {
	state, err := v.importOf(ctx, key)
	if err != nil {
		return err
	}
	if is := state.Newest; is == nil || is.Gone || v.confirmedNow().Before(is.ValidTo) {
		return nil
	}
	rec := v.record(OpExpireImportToken, principalVault)
	rec.Key, rec.Driver = key, state.Newest.Driver
	return v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
		now, err := getImport(tx, key)
		if err != nil || now.Newest == nil || now.Newest.Gone || now.Newest.Serial != state.Newest.Serial {
			return err
		}
		if err := v.revokeToken(tx, key, now.Newest); err != nil {
			return err
		}
		tx.Put(importPathOf(key), encode(now))
		v.appendAudit(tx, rec)
		return nil
	})
}
