package vault

import (
	"context"
	"crypto"
	"fmt"
	"slices"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/pkcs8"
	"strongroom.example/internal/unwrap"
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
	// the CMK is bound to it. On PathDevice this is the only check by which the host can
	// detect a damaged file.
	PublicKey []byte
	// ValidTo is the time at which the vault destroys the material. Zero means never.
	ValidTo time.Time
}

// maxPublicKey is longer in bytes than the SubjectPublicKeyInfo of any spec.
const maxPublicKey = 1024

// errMaterial is the one error for every way in which material does not unwrap, and for
// material of a wrong length that was unwrapped without authentication.
var errMaterial = fmt.Errorf("%w: the material does not unwrap by the token's algorithm to what the CMK takes", ErrImport)

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
// the CMK accepts is reported with an error that says what is wrong and which command
// converts it. That does not count as a failed attempt, because AES-KWP authenticates the
// material.
//
// On PathDevice the host sees only the public half of a private key. A key that is rejected
// because of it, or that does not compute correctly, is destroyed in the device and counts
// as a failed attempt. Encoding faults that the device accepts are not detected
// (SECURITY.md).
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
		return Key{}, c.reject(ctx, request{op: OpImportKeyMaterial, key: key},
			fmt.Errorf("%w: wrapped material has %d bytes, the limit is %d", ErrTooLarge, len(m.EncryptedMaterial), unwrap.MaxCiphertext))
	}
	m.Token, m.EncryptedMaterial, m.PublicKey = atMost(m.Token, tokenSize), slices.Clone(m.EncryptedMaterial), atMost(m.PublicKey, maxPublicKey)
	var im *importing
	defer func() { im.wipe() }()
	q := request{op: OpImportKeyMaterial, key: key, size: len(m.EncryptedMaterial), validTo: m.ValidTo}
	err := c.onKey(ctx, q, func(ctx context.Context, t *target, e *entry) (err error) {
		im.wipe()
		if im, err = c.vault.newImporting(ctx, t, m); err != nil {
			return err
		}
		e.rec.KeyVersion, e.rec.Algorithm, e.rec.Detail = 1, string(im.ver.Algorithm), im.detail
		return c.vault.make(ctx, e, making{
			t: t, ver: im.ver, op: OpImportKeyMaterial, token: im.token.serial.String(),
			begin: im.begin, create: im.create, keep: im.keep, discarded: im.again,
		})
	})
	if err != nil {
		return Key{}, err
	}
	c.vault.schedule(context.WithoutCancel(ctx), im.key.ID)
	return im.key, nil
}

// importing is one import in progress.
type importing struct {
	v        *Vault
	t        *target
	material ImportMaterial
	expected crypto.PublicKey // nil accepts any
	token    token
	row      wrapRow
	ver      version
	id       driver.MaterialID
	// again: the CMK has its material already, and the imported material must be the same.
	again  bool
	issued issuedToken
	marks  []mark
	detail map[string]string
	key    Key // after the import
}

// newImporting makes all checks that need no unwrapping.
func (v *Vault) newImporting(ctx context.Context, t *target, m ImportMaterial) (*importing, error) {
	now := v.deadline.Now()
	if !m.ValidTo.IsZero() && (!m.ValidTo.After(now) || !m.ValidTo.Before(year10000())) {
		return nil, invalid("ValidTo %v is not after now, %v, or after the year 9999; zero means never", m.ValidTo, now)
	}
	expected, err := m.expected(t.Key)
	if err != nil {
		return nil, err
	}
	if t.expired {
		return nil, orElse(v.expireMaterial(ctx, t.ID), errStale)
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
	first, err := v.keys.version(ctx, t.ID, 1)
	im.ver.Created, im.again = first.Created, first.Material != ""
	im.ver.SignAlgorithms = first.SignAlgorithms
	return im, err
}

// expected parses PublicKey. It returns nil if PublicKey is empty.
func (m ImportMaterial) expected(k Key) (crypto.PublicKey, error) {
	if len(m.PublicKey) == 0 {
		return nil, nil
	}
	if k.Usage != SignVerify && k.Usage != AsymmetricDecrypt {
		return nil, invalid("PublicKey goes with private keys, and the CMK is %s", k.Spec)
	}
	public, err := pkcs8.ParsePublic(m.PublicKey)
	if err != nil {
		return nil, invalid("PublicKey is not SubjectPublicKeyInfo in DER; make it by: openssl pkey -in key -pubout -outform DER -out public.der")
	}
	return public, nil
}

// checkExpected rejects a private key whose public half is not the expected one.
func (im *importing) checkExpected(publicDER []byte) error {
	if im.expected == nil {
		return nil
	}
	public, err := pkcs8.ParsePublic(publicDER)
	if err != nil {
		return fmt.Errorf("%w: the driver tells a public key that is none", ErrUnavailable)
	}
	if key, ok := public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !key.Equal(im.expected) {
		return fmt.Errorf("%w: the public half of the private key is not ImportMaterial.PublicKey", ErrImport)
	}
	return nil
}

// wipe wipes the values that were computed with the material.
func (im *importing) wipe() {
	if im != nil {
		wipeMarks(im.marks)
	}
}

// readToken checks the token on its own; begin checks that it is the CMK's newest.
func (im *importing) readToken() (err error) {
	if im.token, err = im.v.openToken(im.material.Token); err != nil {
		return err
	}
	if id, ok := parseKeyID(im.t.ID); !ok || id != im.token.key {
		return fmt.Errorf("%w: it is for another CMK", ErrImportToken)
	}
	n := slices.IndexFunc(wrapTable, func(r wrapRow) bool { return r.code == im.token.algorithm })
	if n < 0 {
		return fmt.Errorf("%w: wrapping algorithm %d of an import token", ErrCorrupt, im.token.algorithm)
	}
	im.row = wrapTable[n]
	im.detail["algorithm"] = string(im.row.alg)
	return nil
}

// year10000 is the first time that a record cannot represent. It is compared as a time,
// because a year may need more bits than an int has.
func year10000() time.Time { return time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }
