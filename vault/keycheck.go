package vault

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/suite"
	"strongroom.example/keystore"
)

// A device finds its keys by an id, and anybody who can write to the device can give that
// id to another key. The vault therefore checks a device's key when it opens it, and after
// each time that the driver had to look the key up again, before it releases a result. A
// symmetric key is checked by the check value in the version's record, and a private key by
// the public half in that record, with which the vault verifies a signature or encrypts.
// Keys of the software engine are not checked, because their blobs are bound to id and spec
// under a key of the vault.

// keyCheckInput is the PRF input for the check value of a symmetric key. Inputs for
// messages begin with a counter of four bytes (SP 800-108), so no message of a CMK that
// encrypts has this form.
const keyCheckInput = "strongroom/key/check"

// keyCheckSize is the length in bytes of a check value.
const keyCheckSize = 16

// commitToCheck is the purpose of the commitment key for check values.
const commitToCheck = "check"

// checksKey reports whether the material of a version is checked when it is opened.
func (ver version) checksKey() bool { return ver.Driver != softDriver }

// errReplaced returns the error for a device key that is not the version's key.
func errReplaced(ver version) error {
	return fmt.Errorf("%w: version %d of key %s in driver %q", ErrKeyReplaced, ver.Number, ver.Key, ver.Driver)
}

// keyCheck returns the check value of an opened symmetric key. It is a MAC of the PRF's
// output for keyCheckInput, under the vault's commitment key, so that the stored value is
// not a MAC under the CMK.
func (v *Vault) keyCheck(ctx context.Context, key driver.Key, ver version) ([]byte, error) {
	prf, ok := key.(driver.PRF)
	if !ok {
		return nil, wrongInterface(ver)
	}
	var buf [suite.HashSize]byte
	defer suite.Wipe(buf[:])
	out, err := derive(ctx, prf, buf[:0], []byte(keyCheckInput))
	if err != nil {
		return nil, err
	}
	defer suite.Wipe(out)
	sum := v.suite.MAC(v.secrets.commitment(), []byte(commitToCheck), []byte{0}, []byte(ver.Algorithm), []byte{0}, out, []byte(ver.Material))
	return sum[:keyCheckSize], nil
}

// checkKey returns ErrKeyReplaced if an opened key is not that of the version.
func (v *Vault) checkKey(ctx context.Context, key driver.Key, ver version) error {
	if !ver.checksKey() {
		return nil
	}
	switch ver.DeviceUse {
	case driver.Derive:
		return v.checkPRF(ctx, key, ver)
	case driver.Sign:
		return v.checkSigner(ctx, key, ver)
	case driver.Decrypt:
		return v.checkDecrypter(ctx, key, ver)
	}
	return nil
}

// lookupTries bounds how often a key is checked, or used, again because its driver looked
// it up in between.
const lookupTries = 4

// lookups returns the number of times that the driver has looked up the key.
func lookups(key driver.Key) uint64 {
	if t, ok := key.(driver.Tracked); ok {
		return t.Lookups()
	}
	return 0
}

// errLookups returns the error for a key that its driver keeps looking up.
func errLookups(ver version) error {
	return fmt.Errorf("%w: driver %q keeps losing its handle of the key", ErrUnavailable, ver.Driver)
}

// checkLookup checks the key and returns the number of lookups for which the check is
// valid.
func (v *Vault) checkLookup(ctx context.Context, key driver.Key, ver version) (uint64, error) {
	for range lookupTries {
		n := lookups(key)
		if err := v.checkKey(ctx, key, ver); err != nil {
			return 0, err
		}
		if lookups(key) == n {
			return n, nil
		}
	}
	return 0, errLookups(ver)
}

// useChecked runs use with an opened key. If the driver looked the key up since the last
// check, useChecked discards the result of use, checks the key, and runs use again.
func (v *Vault) useChecked(ctx context.Context, one *handle, ver version, use func() error) error {
	if one.tracked == nil {
		return use()
	}
	for range lookupTries {
		checked := one.checked.Load()
		if one.tracked.Lookups() != checked {
			var err error
			if checked, err = v.checkLookup(ctx, one.key, ver); err != nil {
				return err
			}
			one.checked.Store(checked)
		}
		if err := use(); one.tracked.Lookups() == checked {
			return err
		}
	}
	return errLookups(ver)
}

// checkPRF compares a symmetric key with the recorded check value. A record of an earlier
// version of this package has none: checkPRF then accepts the present key once, and stores
// its check value.
func (v *Vault) checkPRF(ctx context.Context, key driver.Key, ver version) error {
	now, err := v.keyCheck(ctx, key, ver)
	switch {
	case err != nil:
		return err
	case ver.Check == nil:
		return v.pinKey(ctx, ver, now)
	case !hmac.Equal(now, ver.Check):
		return errReplaced(ver)
	}
	return nil
}

// pinKey stores the check value of a version whose record has none.
func (v *Vault) pinKey(ctx context.Context, ver version, check []byte) error {
	path := versionPath(ver.Key, ver.Number)
	rec := v.record(OpPinKey, byItself)
	rec.Key, rec.KeyVersion, rec.Driver, rec.Algorithm = ver.Key, ver.Number, ver.Driver, string(ver.Algorithm)
	return v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
		if tx.Version(path) == 0 {
			return errStale
		}
		r, err := tx.Get(path)
		if err != nil {
			return err
		}
		stored, err := decode[version](path, r.Value)
		switch {
		case err != nil:
			return err
		case stored.Material != ver.Material:
			return errStale // it was moved, or deleted and imported again
		case stored.Check != nil && !hmac.Equal(stored.Check, check):
			return errReplaced(ver)
		case stored.Check != nil:
			return nil
		}
		stored.Check = check
		tx.Put(path, encode(stored))
		v.note(tx, rec)
		return nil
	})
}

// checkSigner signs a random digest or message with a private key and verifies the
// signature with the recorded public half. It does not release the signature.
func (v *Vault) checkSigner(ctx context.Context, key driver.Key, ver version) error {
	signer, ok := key.(driver.Signer)
	if !ok {
		return wrongInterface(ver)
	}
	can, _ := v.drivers[ver.Driver].Info().Find(ver.spec())
	if len(can.Sign) == 0 {
		return fmt.Errorf("%w: driver %q lists no signature algorithm for %s", ErrUnsupported, ver.Driver, ver.spec())
	}
	alg := can.Sign[0]
	input := make([]byte, max(alg.DigestSize(), 32))
	rand.Read(input)
	signature, err := signer.Sign(ctx, alg, input)
	if err != nil {
		return err
	}
	if soft.Verify(ver.Public, alg, input, signature) != nil {
		return errReplaced(ver)
	}
	return nil
}

// checkDecrypter encrypts a random text to the recorded public half and decrypts it with
// the private key.
func (v *Vault) checkDecrypter(ctx context.Context, key driver.Key, ver version) error {
	decrypter, ok := key.(driver.Decrypter)
	if !ok {
		return wrongInterface(ver)
	}
	can, _ := v.drivers[ver.Driver].Info().Find(ver.spec())
	if len(can.Decrypt) == 0 {
		return fmt.Errorf("%w: driver %q lists no decryption algorithm for %s", ErrUnsupported, ver.Driver, ver.spec())
	}
	alg, text := checkAlgorithm(can), make([]byte, 32)
	rand.Read(text)
	text[0] |= 1 // because leading zeros are trimmed
	ciphertext, err := soft.Encrypt(ver.Public, alg, text)
	if err != nil {
		return fmt.Errorf("%w: public half of key %s version %d: %w", ErrCorrupt, ver.Key, ver.Number, err)
	}
	out, err := decrypter.Decrypt(ctx, nil, alg, ciphertext)
	if errors.Is(err, driver.Authentic) || errors.Is(err, driver.Invalid) {
		return errReplaced(ver) // the modulus may have another length
	}
	if err != nil {
		return err
	}
	if alg == driver.RSARaw {
		out = bytes.TrimLeft(out, "\x00")
	}
	if !bytes.Equal(out, text) {
		return errReplaced(ver)
	}
	return nil
}

// checkAlgorithm chooses the algorithm for checkDecrypter. It prefers OAEP to RSARaw, which
// some tokens do not have.
func checkAlgorithm(can driver.SpecInfo) driver.EncryptAlg {
	for _, alg := range []driver.EncryptAlg{driver.RSAOAEPSHA256, driver.RSARaw} {
		if slices.Contains(can.Decrypt, alg) {
			return alg
		}
	}
	return can.Decrypt[0]
}

// wrongInterface returns the error for a key without the interface of its usage.
func wrongInterface(ver version) error {
	return fmt.Errorf("%w: driver %q gave a key that is not for %s", ErrUnavailable, ver.Driver, ver.DeviceUse)
}

// madeKey is material that a driver made, with its check value.
type madeKey struct {
	driver.Created
	check []byte
}

// checkMade opens newly made material and returns its check value, or nil for material that
// has none.
func (v *Vault) checkMade(ctx context.Context, ver version, created driver.Created) ([]byte, error) {
	if !ver.checksKey() || ver.DeviceUse != driver.Derive {
		return nil, nil
	}
	id, err := ver.material()
	if err != nil {
		return nil, err
	}
	key, err := opened(v.drivers[ver.Driver].OpenKey(ctx, id, ver.spec(), created.Blob))
	if err != nil {
		return nil, err
	}
	defer key.Close()
	return v.keyCheck(ctx, key, ver)
}
