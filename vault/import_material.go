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

// ImportMaterial is what the owner of material sends.
type ImportMaterial struct {
	// Token is that of ParametersForImport.
	Token []byte
	// EncryptedMaterial is the material, wrapped for the public key that came with
	// the token, by its algorithm.
	EncryptedMaterial []byte
	// PublicKey, if it is not empty, is the public half that a private key must have, as X.509
	// SubjectPublicKeyInfo in DER: another key is refused before the CMK is bound to it. On
	// path DEVICE the host sees nothing else by which it could tell a damaged file.
	PublicKey []byte
	// ValidTo is when the vault destroys the material by itself; zero: never.
	ValidTo time.Time
}

// maxPublicKey is more bytes than the SubjectPublicKeyInfo of any spec has.
const maxPublicKey = 1024

// errMaterial is the one error for every way in which material does not unwrap, and for
// what unwrapped without authentication and has a wrong length.
var errMaterial = fmt.Errorf("%w: the material does not unwrap by the token's algorithm to what the CMK takes", ErrImport)

// ImportKeyMaterial brings material into a CMK of OriginExternal and enables it. The
// first import binds the CMK for good: later ones take the same material only, after
// it was deleted or expired, or to give it another ValidTo. Material that this vault
// has for another usage or spec is refused; two CMKs of one usage and spec may have
// the same, and do not decrypt for each other.
//
// A private key is PKCS #8 (RFC 5208, RFC 5958) in DER, without a password and with
// nothing after it:
//
//   - RSA of the spec's length, with two primes and an odd public exponent from 65537
//     to 2^31-1. A TPM takes 65537 alone. A key with the identifier id-RSASSA-PSS is
//     taken to sign, and restricted to RSA-PSS (KeyVersion.SignAlgorithms).
//   - EC on the spec's named curve, SM2, or Ed25519. A public half is optional, and must
//     be that of the private number.
//
// What does not unwrap has one error for all causes, and counts: after five such tries
// the token is dead. On path HOST, material that unwraps from RSA_AES_KEY_WRAP, and is no
// key that the CMK takes, has an error that says what is wrong with it and by which
// command it can be converted; that does not count, because AES-KWP authenticates. On
// path DEVICE the device unwraps, and the host sees the public half of a private key
// alone: a key that is refused by that, or does not compute, is destroyed in the device, and
// counts; faults of the encoding that the device overlooks stay unseen (SECURITY.md).
//
// To give material an earlier ValidTo than it has takes the permission to
// DeleteImportedKeyMaterial as well, because that is what it comes to. A later one, none, or
// any ValidTo for material that is not there does not.
//
// Errors: ErrImportToken, ErrOtherMaterial and for all else that is wrong with the
// material ErrImport; ErrInvalid for a ValidTo that has passed, ErrTooLarge,
// ErrUnsupported for a CMK of another origin, ErrKeyState, ErrDenied, ErrUnavailable.
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

// importing is one import on its way.
type importing struct {
	v        *Vault
	t        *target
	material ImportMaterial
	expected crypto.PublicKey // nil: any
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

// expected parses PublicKey; nil if it is empty.
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

// checkExpected refuses a private key that has not the expected public half.
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

// wipe wipes what was computed by the material.
func (im *importing) wipe() {
	if im != nil {
		wipeMarks(im.marks)
	}
}

// readToken checks the token for itself; whether it is the newest is for begin.
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

// year10000 is the first moment that no record can name. It is compared with as a time:
// a year may have more bits than an int.
func year10000() time.Time { return time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }
