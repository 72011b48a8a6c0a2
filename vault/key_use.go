package vault

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/ciphertext"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/deviceid"
	"strongroom.example/vault/internal/devicekey"
	"strongroom.example/vault/internal/keyhandles"
	"strongroom.example/vault/internal/keyid"
	"strongroom.example/vault/internal/retry"
)

// message is a ciphertext with the encryption context that the caller gave.
type message struct {
	bytes   []byte
	context boundContext
	header  ciphertext.Header
}

// readMessage parses the header and copies the context. bytes must not change while the
// message is in use.
func readMessage(bytes []byte, ec EncryptionContext) (m message, err error) {
	m.bytes = bytes
	if m.header, err = ciphertext.Parse(bytes); err != nil {
		return m, err
	}
	m.context, err = ec.snapshot()
	return m, err
}

// keyID returns the id of the CMK that the message names.
func (m message) keyID() string { return keyid.Format(m.header.KeyID) }

// Ciphertext holds the fields that can be read from a ciphertext without a key. They are
// not authenticated.
type Ciphertext struct {
	// Key is the CMK's id, Version the number of the key version.
	Key     string
	Version uint32
	// Suite names the algorithms: "AES_256_GCM_SHA_256" or "SM4_GCM_SM3".
	Suite string
}

// Inspect parses the header of a ciphertext. It does no I/O and needs no vault. It returns
// ErrCiphertext if ct is not a ciphertext.
func Inspect(ct []byte) (Ciphertext, error) {
	h, err := ciphertext.Parse(ct)
	if err != nil {
		return Ciphertext{}, wrap("Inspect", "", err)
	}
	return Ciphertext{keyid.Format(h.KeyID), h.Version, h.Suite.String()}, nil
}

// openCiphertext is useKey for the CMK that a ciphertext names. It adds to the request what ct
// says. ct must not change while it runs.
func openCiphertext[T any](ctx context.Context, c Client, q request, ct []byte, ec EncryptionContext, use func(context.Context, *decision, message) (T, error), discard func(T)) (T, error) {
	m, err := readMessage(ct, ec)
	if err != nil {
		var none T
		return none, c.argumentError(ctx, q, err)
	}
	q.key, q.version, q.context, q.size = m.keyID(), m.header.Version, m.context, len(ct)
	out, err := useKey(ctx, c, q, func(ctx context.Context, d *decision) (T, error) {
		d.rec.Algorithm = c.vault.suite.String()
		return use(ctx, d, m)
	}, discard)
	return out, asCiphertext(q.op, err)
}

// asCiphertext replaces errors that would reveal which keys exist by ErrCiphertext, because
// a caller can invent a ciphertext.
func asCiphertext(op Operation, err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUsage) {
		return wrap(op, "", fmt.Errorf("%w: the ciphertext is not of a key of this vault", ErrCiphertext))
	}
	return err
}

// encryptMessage encrypts under the primary version of a CMK.
func (v *Vault) encryptMessage(ctx context.Context, t *target, canonical, plaintext []byte) ([]byte, error) {
	ver, err := v.records.version(ctx, t.ID, t.Version)
	if err != nil {
		return nil, err
	}
	id, ok := keyid.Parse(t.ID)
	if !ok {
		return nil, fmt.Errorf("%w: key id %q", ErrCorrupt, t.ID)
	}
	h := ciphertext.Header{Suite: messageSuite(ver), KeyID: id, Version: t.Version}
	v.entropy.Fill(h.Salt[:], plaintext, canonical) // random; the inputs are hashed in, as a hedge
	var space [suite.HashSize]byte
	defer suite.Wipe(space[:])
	root, err := v.prf(ctx, ver, space[:0], h.PRFInput(canonical))
	if err != nil {
		return nil, err
	}
	return ciphertext.Seal(h, canonical, root, plaintext)
}

// decryptMessage decrypts m and appends the plaintext to dst. It returns ErrCiphertext for a
// version that the CMK never had.
func (v *Vault) decryptMessage(ctx context.Context, m message, dst []byte) ([]byte, error) {
	t, err := v.records.key(ctx, m.keyID())
	if err != nil {
		return nil, err
	}
	if m.header.Version > t.Version {
		return nil, ErrCiphertext
	}
	if m.header.Version < t.MinVersion {
		return nil, fmt.Errorf("%w: version %d, the minimum is %d", ErrMinimumVersion, m.header.Version, t.MinVersion)
	}
	ver, err := v.records.version(ctx, t.ID, m.header.Version)
	if err != nil {
		return nil, err
	}
	if messageSuite(ver) != m.header.Suite {
		return nil, ErrCiphertext
	}
	var space [suite.HashSize]byte
	defer suite.Wipe(space[:])
	root, err := v.prf(ctx, ver, space[:0], m.header.PRFInput(m.context.canonical))
	if err != nil {
		return nil, err
	}
	return ciphertext.Open(dst, m.bytes, m.context.canonical, root)
}

// messageSuite returns the suite of messages under a key version. It is the vault's suite, which the
// audit record names, because specRow.device gave the version an algorithm of that suite.
func messageSuite(ver storedVersion) suite.ID {
	if ver.Algorithm == driver.HMACSM3 {
		return suite.SM
	}
	return suite.AES
}

// prf computes the PRF of a key version on input and appends the output to dst.
func (v *Vault) prf(ctx context.Context, ver storedVersion, dst, input []byte) (out []byte, err error) {
	err = withKey(ctx, v, ver, func(ctx context.Context, key driver.PRF) (err error) {
		out, err = devicekey.CheckedPRF(ctx, key, ver.Algorithm, dst, input)
		return err
	})
	return out, err
}

// withKey runs use, with retries, on the opened material of a key version.
func withKey[K driver.Key](ctx context.Context, v *Vault, ver storedVersion, use func(context.Context, K) error) error {
	id, err := ver.material()
	if err != nil {
		return err
	}
	return retry.Do(ctx, awayLimit, retryVerdict, func(ctx context.Context) error {
		one, err := v.openHandle(ctx, id, ver)
		if err != nil {
			return err
		}
		defer v.handles.Give(one)
		key, ok := one.Key().(K)
		if !ok {
			return v.recorded(ver).ErrInterface()
		}
		err = one.Use(
			func() error { return v.checkKey(ctx, key, ver) },
			func() error { return use(ctx, key) },
		)
		return lookupError(ver, err)
	})
}

// openHandle returns a handle of a key version, and opens the key if necessary.
func (v *Vault) openHandle(ctx context.Context, id driver.MaterialID, ver storedVersion) (*keyhandles.Handle, error) {
	if one, ok := v.handles.Take(id); ok {
		return one, nil
	}
	if !v.handles.Begin(id) {
		return nil, fmt.Errorf("%w: material of key %s", ErrNotFound, ver.Key)
	}
	defer v.handles.End(id)
	d, err := v.driver(ver.Driver)
	if err != nil {
		return nil, err
	}
	r, err := v.store.Get(ctx, materialPath(id))
	if err != nil {
		return nil, missing(err, "material of key "+ver.Key)
	}
	key, err := devicekey.Opened(d.OpenKey(ctx, id, ver.spec(), driver.Blob(r.Value)))
	if errors.Is(err, lockedmem.ErrExhausted) {
		v.handles.Trim()
		key, err = devicekey.Opened(d.OpenKey(ctx, id, ver.spec(), driver.Blob(r.Value)))
	}
	if errors.Is(err, driver.Authentic) && len(r.Value) == 0 {
		return nil, fmt.Errorf("%w: %w", v.recorded(ver).ErrReplaced(), err) // there is no blob that could be damaged
	}
	if err != nil {
		return nil, err
	}
	checked, err := keyhandles.Check(key, func() error { return v.checkKey(ctx, key, ver) })
	if err != nil {
		key.Close()
		return nil, lookupError(ver, err)
	}
	return v.handles.Put(id, key, checked), nil
}

// driver returns the driver with the given name.
func (v *Vault) driver(name string) (driver.Driver, error) {
	d, ok := v.drivers[name]
	if !ok {
		return nil, fmt.Errorf("%w: the vault was opened without driver %.80q; add it to Config.Drivers", ErrUnavailable, name)
	}
	return d, nil
}

// awayLimit is how long an operation retries a device that is away. A driver itself searches
// for about as long, and a caller should get the error within about a second.
const awayLimit = 500 * time.Millisecond

// A device finds its keys by an id, and anybody who can write to the device can give that
// id to another key. The vault therefore checks a device's key when it opens it, and after
// each time that the driver had to look the key up again, before it releases a result. A
// symmetric key is checked by the check value in the version's record, and a private key by
// the public half in that record, with which the vault verifies a signature or encrypts.
// Keys of the software engine are not checked, because their blobs are bound to id and spec
// under a key of the vault.

// needsCheck reports whether the material of a version is checked when it is opened.
func (ver storedVersion) needsCheck() bool { return ver.Driver != softDriver }

// commitment returns the vault's key for values that identify material.
func (v *Vault) commitment() devicekey.Commitment {
	return devicekey.Commitment{Suite: v.suite, Key: v.secrets.Commitment()}
}

// recorded returns what the record of a version says of its key.
func (v *Vault) recorded(ver storedVersion) devicekey.Version {
	out := devicekey.Version{Key: ver.Key, Number: ver.Number, Driver: ver.Driver, Material: ver.Material, Spec: ver.spec(), Public: ver.Public}
	if d, ok := v.drivers[ver.Driver]; ok {
		out.Can, _ = d.Info().Find(out.Spec)
	}
	return out
}

// checkKey returns ErrKeyReplaced if an opened key is not that of the version.
func (v *Vault) checkKey(ctx context.Context, key driver.Key, ver storedVersion) error {
	if !ver.needsCheck() {
		return nil
	}
	switch ver.DeviceUse {
	case driver.Derive:
		return v.checkPRF(ctx, key, ver)
	case driver.Sign:
		return v.recorded(ver).CheckSigner(ctx, key)
	case driver.Decrypt:
		return v.recorded(ver).CheckDecrypter(ctx, key)
	}
	return nil
}

// lookupError names the driver and key in the error of package keyhandles for a key that
// its driver keeps looking up.
func lookupError(ver storedVersion, err error) error {
	if errors.Is(err, keyhandles.ErrLookups) {
		return fmt.Errorf("%w: driver %q repeatedly loses its handle of the key", ErrUnavailable, ver.Driver)
	}
	return err
}

// checkPRF compares a symmetric key with the recorded check value. A record of an earlier
// version of this package has none: checkPRF then accepts the present key once, and stores
// its check value.
func (v *Vault) checkPRF(ctx context.Context, key driver.Key, ver storedVersion) error {
	now, err := v.recorded(ver).CheckValue(ctx, key, v.commitment())
	switch {
	case err != nil:
		return err
	case ver.Check == nil:
		return v.pinKey(ctx, ver, now)
	case !hmac.Equal(now, ver.Check):
		return v.recorded(ver).ErrReplaced()
	}
	return nil
}

// pinKey stores the check value of a version whose record has none.
func (v *Vault) pinKey(ctx context.Context, ver storedVersion, check []byte) error {
	path := versionPath(ver.Key, ver.Number)
	rec := v.record(OpPinKey, principalVault)
	rec.Key, rec.KeyVersion, rec.Driver, rec.Algorithm = ver.Key, ver.Number, ver.Driver, string(ver.Algorithm)
	return v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
		if tx.Version(path) == 0 {
			return errConflict
		}
		stored, err := versionInTx(tx, ver.Key, ver.Number)
		switch {
		case err != nil:
			return err
		case stored.Material != ver.Material:
			return errConflict // it was moved, or deleted and imported again
		case stored.Check != nil && !hmac.Equal(stored.Check, check):
			return v.recorded(ver).ErrReplaced()
		case stored.Check != nil:
			return nil
		}
		stored.Check = check
		tx.Put(path, encode(stored))
		v.appendAudit(tx, rec)
		return nil
	})
}

// madeKey is material that a driver made, with its check value and its device.
type madeKey struct {
	driver.Created
	check  []byte
	device *deviceid.Identity
}

// objectIn returns the device in which the material is an object, or nil for a blob.
func (m madeKey) objectIn() *deviceid.Identity {
	if len(m.Blob) > 0 {
		return nil
	}
	return m.device
}

// checkMade opens newly made material and returns its check value, or nil for material that
// has none.
func (v *Vault) checkMade(ctx context.Context, ver storedVersion, created driver.Created) ([]byte, error) {
	if !ver.needsCheck() || ver.DeviceUse != driver.Derive {
		return nil, nil
	}
	id, err := ver.material()
	if err != nil {
		return nil, err
	}
	key, err := devicekey.Opened(v.drivers[ver.Driver].OpenKey(ctx, id, ver.spec(), created.Blob))
	if err != nil {
		return nil, err
	}
	defer key.Close()
	return v.recorded(ver).CheckValue(ctx, key, v.commitment())
}
