//go:build cgo && unix

package pkcs11

import (
	"context"
	"crypto/rsa"
	"errors"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/object"
	"strongroom.example/internal/suite"
)

// ImportKey creates a key in the token from material in the host's memory. The attributes
// "local" and "always_sensitive" have the token's statement on the key's origin, which is
// wrong on some tokens. The caller wipes in, but Go's parsers leave parts of an
// asymmetric key on the heap. If the token has a key under id, it must have the same
// material; otherwise the error is Invalid.
func (d *Driver) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, in []byte) (driver.Created, error) {
	if !hasDeadline(ctx) {
		return d.importKey(ctx, id, spec, in)
	}
	material := slices.Clone(in)
	return bounded(ctx, func() (driver.Created, error) {
		defer suite.Wipe(material)
		return d.importKey(ctx, id, spec, material)
	}, keep)
}

func (d *Driver) importKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, in []byte) (driver.Created, error) {
	const op = "ImportKey"
	sh, err := d.enterFor(ctx, op, spec)
	if err != nil {
		return driver.Created{}, err
	}
	defer d.gate.Leave()
	if row, _ := d.info.Find(spec); !row.Import {
		return driver.Created{}, cryptoki.Fault(op, driver.Unsupported, errSpec)
	}
	m, err := sh.Parse(in)
	if err != nil {
		return driver.Created{}, cryptoki.Fault(op, driver.Invalid, err)
	}
	defer m.Wipe()
	done, err := d.client.LockForWrite(ctx, id)
	if err != nil {
		return driver.Created{}, err
	}
	defer done()
	var created driver.Created
	err = d.client.Run(ctx, func(s object.Session) (err error) {
		created, err = s.ImportMaterial(d.lasting(sh, id), m)
		return err
	})
	return created, err
}

// An unwrapKey is an RSA private key that can only unwrap other keys.
type unwrapKey struct {
	*handle
	public *rsa.PublicKey
}

// GenerateWrappingKey makes an RSA key pair with usage Unwrap in the token.
func (d *Driver) GenerateWrappingKey(ctx context.Context, id driver.MaterialID, alg driver.KeyAlgorithm) (driver.Created, error) {
	if !hasDeadline(ctx) {
		return d.generateWrappingKey(ctx, id, alg)
	}
	return bounded(ctx, func() (driver.Created, error) { return d.generateWrappingKey(ctx, id, alg) }, keep)
}

func (d *Driver) generateWrappingKey(ctx context.Context, id driver.MaterialID, alg driver.KeyAlgorithm) (driver.Created, error) {
	sh, err := d.enterFor(ctx, "GenerateWrappingKey", driver.KeySpec{Algorithm: alg, Usage: driver.Unwrap})
	if err != nil {
		return driver.Created{}, err
	}
	defer d.gate.Leave()
	return d.make(ctx, d.generated(sh, id), object.Session.Generate)
}

// ImportWrapped unwraps material in the token, so that it is never in the host's memory.
// If the token has a key under id, ImportWrapped checks its attributes and returns it,
// and ignores the ciphertext. Symmetric material of another length is Authentic; OAEP is
// offered only if the token checks the length. With AES key wrapping, some tokens accept
// HMAC material of 25 to 31 bytes and pad it with zeros, which gives the same HMAC key.
//
// Of a private key the token reveals only the public key. That is checked against the
// rules for imported keys (internal/pkcs8), and a result of the private key must match
// it; otherwise the key is destroyed, and the error is Invalid with the cause. Encoding
// faults that the token ignores are not detected: trailing bytes, or another key's public
// key or identifier. The public key of an ECDSA key is the one that verifies the token's
// signatures, whatever the PKCS #8 file contains in that place.
func (d *Driver) ImportWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
	if !hasDeadline(ctx) {
		return d.importWrapped(ctx, id, spec, w)
	}
	w.Ciphertext = slices.Clone(w.Ciphertext)
	return bounded(ctx, func() (driver.Created, error) { return d.importWrapped(ctx, id, spec, w) }, keep)
}

func (d *Driver) importWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
	const op = "ImportWrapped"
	sh, err := d.enterFor(ctx, op, spec)
	if err != nil {
		return driver.Created{}, err
	}
	defer d.gate.Leave()
	row, _ := d.info.Find(spec)
	if !slices.Contains(row.WrappedImport, w.Alg) {
		return driver.Created{}, cryptoki.Fault(op, driver.Unsupported, errAlgorithm)
	}
	with, ok := w.With.(*unwrapKey)
	if !ok || with.driver != d {
		return driver.Created{}, cryptoki.Fault(op, driver.Invalid, errors.New("the wrapping key is not one of this driver"))
	}
	if err := with.enter(ctx, op); err != nil {
		return driver.Created{}, err
	}
	defer with.leave()
	u := object.Unwrapping{With: with.object, Public: with.public, KeyWrap: d.able.KeyWrap, Alg: w.Alg, Ciphertext: w.Ciphertext}
	if !u.Sized(sh) {
		return driver.Created{}, cryptoki.Fault("C_UnwrapKey", driver.Authentic, cryptoki.ErrCiphertext)
	}
	return d.make(ctx, d.lasting(sh, id), u.Unwrap)
}
