package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/internal/pkcs1"
	"strongroom.example/internal/suite"
)

// An EncryptionAlgorithm is an algorithm that encrypts data to a CMK of usage
// AsymmetricDecrypt.
type EncryptionAlgorithm string

// The encryption algorithms.
const (
	// RSAESPKCS1V15 never reports bad padding: a ciphertext with bad padding decrypts to
	// bytes of pseudorandom length and content. The FIPS edition allows neither this
	// algorithm nor SHA-1.
	RSAESPKCS1V15   EncryptionAlgorithm = "RSAES_PKCS1_V1_5"
	RSAESOAEPSHA1   EncryptionAlgorithm = "RSAES_OAEP_SHA_1"
	RSAESOAEPSHA256 EncryptionAlgorithm = "RSAES_OAEP_SHA_256"
	// SM2C1C3C2 is SM2 encryption with the ciphertext in ASN.1 (GM/T 0009).
	SM2C1C3C2 EncryptionAlgorithm = "SM2_C1C3C2_ASN1"
)

// MaxSM2Ciphertext is the maximum length of an SM2 ciphertext in bytes. The ciphertext of
// up to 146 bytes of plaintext always fits.
const MaxSM2Ciphertext = 256

// decryptRow is one algorithm and the specs that support it.
type decryptRow struct {
	alg    EncryptionAlgorithm
	device driver.EncryptAlg
	specs  []KeySpec
}

// decryptTable lists the algorithms. The first for a spec is its default.
var decryptTable = []decryptRow{
	{RSAESOAEPSHA256, driver.RSAOAEPSHA256, []KeySpec{RSA2048, RSA3072, RSA4096}},
	{RSAESOAEPSHA1, driver.RSAOAEPSHA1, []KeySpec{RSA2048, RSA3072, RSA4096}},
	{RSAESPKCS1V15, driver.RSARaw, []KeySpec{RSA2048, RSA3072, RSA4096}},
	{SM2C1C3C2, driver.SM2ASN1, []KeySpec{SM2}},
}

// chooseDecrypt returns the row of alg for a spec, or of the spec's default if alg is
// empty.
func chooseDecrypt(spec KeySpec, alg EncryptionAlgorithm, e Edition) (decryptRow, error) {
	for _, r := range decryptTable {
		if !slices.Contains(r.specs, spec) || alg != "" && r.alg != alg {
			continue
		}
		return r, excluded(e, r.alg)
	}
	return decryptRow{}, invalid("algorithm %.80q is not one of spec %s", alg, spec)
}

// AsymmetricDecrypt decrypts data that was encrypted to the CMK's public key. An empty alg
// means RSAESOAEPSHA256, or SM2C1C3C2 for SM2. The caller wipes the plaintext. Errors:
// ErrCiphertext for every fault of the ciphertext; ErrTooLarge; ErrInvalid for an algorithm
// that the spec does not have; ErrUsage; ErrKeyState; ErrDenied; ErrUnsupported.
func (c Client) AsymmetricDecrypt(ctx context.Context, key string, ciphertext []byte, alg EncryptionAlgorithm) ([]byte, error) {
	own := c.vault.own(ciphertext[:min(len(ciphertext), inputSize)]) // longer than the ciphertext of any key
	defer own.release()
	var out []byte
	q := request{op: OpAsymmetricDecrypt, key: key, size: len(ciphertext)}
	err := c.onKey(ctx, q, func(ctx context.Context, t *target, e *entry) error {
		row, err := chooseDecrypt(t.Spec, alg, c.vault.cfg.Edition)
		if err != nil {
			return err
		}
		e.rec.Algorithm = string(row.alg)
		suite.Wipe(out) // of an earlier pass of the pipeline
		if t.Spec == SM2 && len(ciphertext) > MaxSM2Ciphertext {
			return fmt.Errorf("%w: SM2 ciphertext has %d bytes, the limit is %d", ErrTooLarge, len(ciphertext), MaxSM2Ciphertext)
		}
		ver, err := c.vault.keys.version(ctx, t.ID, t.Version)
		if err != nil {
			return err
		}
		if row.alg == RSAESPKCS1V15 {
			// The record omits the size, because it would distinguish good padding from bad.
			out, err = c.vault.decryptPKCS1(ctx, ver, own.bytes)
			return err
		}
		out, err = c.vault.decrypt(ctx, ver, nil, encrypted{row.device, own.bytes})
		e.rec.OutputSize = uint64(len(out))
		return err
	})
	if err != nil {
		suite.Wipe(out)
		return nil, err
	}
	return out, nil
}

// encrypted is a ciphertext in the form that drivers accept.
type encrypted struct {
	alg        driver.EncryptAlg
	ciphertext []byte
}

// decrypt decrypts with the driver and appends the plaintext to dst.
func (v *Vault) decrypt(ctx context.Context, ver version, dst []byte, in encrypted) (out []byte, err error) {
	err = withKey(ctx, v, ver, func(ctx context.Context, key driver.Decrypter) (err error) {
		out, err = key.Decrypt(ctx, dst, in.alg, in.ciphertext)
		if errors.Is(err, driver.Authentic) {
			return ErrCiphertext // the fault is in the caller's bytes; from OpenKey it would be in the vault's blob
		}
		return err
	})
	return out, err
}

// decryptPKCS1 decrypts with the device's raw RSA and removes the padding in the host. It
// does so in constant time and never reports bad padding.
func (v *Vault) decryptPKCS1(ctx context.Context, ver version, ciphertext []byte) ([]byte, error) {
	block, err := v.arena.Alloc(pkcs1.MaxSize)
	if err != nil {
		return nil, err
	}
	defer block.Free()
	padded, err := v.decrypt(ctx, ver, block.Bytes()[:0], encrypted{driver.RSARaw, ciphertext})
	if err != nil {
		return nil, err
	}
	// The rejection key is derived from the public key, which a move or another import of
	// the same key does not change. Two different results for one ciphertext would reveal
	// that its padding is bad.
	key := suite.NewSecret(suite.HashSize)
	defer suite.Wipe(key)
	v.suite.MACTo(key, v.secrets.rejection(), ver.Public)
	out, err := pkcs1.Unpad(nil, padded, ciphertext, key)
	if err != nil {
		return nil, ErrCiphertext
	}
	return out, nil
}
