package vault

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/internal/pkcs8"
	"strongroom.example/internal/suite"
	"strongroom.example/internal/unwrap"
	"strongroom.example/keystore"
)

// create unwraps the material into the driver, and computes its mark with its own PRF or
// public key.
func (im *importing) create(ctx context.Context) (created driver.Created, err error) {
	d, wrapped := im.v.drivers[im.t.Driver], driver.Wrapped{Alg: im.row.seam, Ciphertext: im.material.EncryptedMaterial}
	if wrapped.With, err = im.openWrappingKey(ctx); err != nil {
		return created, err
	}
	defer wrapped.With.Close()
	var host []mark
	defer func() { wipeMarks(host) }()
	if im.issued.Path == PathDevice {
		created, err = d.(driver.WrappedImporter).ImportWrapped(ctx, im.id, im.ver.spec(), wrapped)
	} else {
		created, host, err = im.host(ctx, wrapped)
	}
	if err != nil {
		err = im.refusal(err)
	}
	if err != nil {
		return created, err
	}
	if err := im.checkExpected(created.PublicDER); err != nil {
		return created, err
	}
	key, err := opened(d.OpenKey(ctx, im.id, im.ver.spec(), created.Blob))
	if err != nil {
		return created, err
	}
	defer key.Close()
	own, err := im.v.markOf(ctx, key, im.ver.spec(), created.PublicDER)
	defer suite.Wipe(own.value[:])
	im.wipe() // from an earlier attempt with the driver
	im.marks = append([]mark{own}, host...)
	if err == nil && im.again {
		err = d.DestroyKey(ctx, im.id, created.Blob)
	}
	return created, err
}

// refusal returns the error for the caller after a failed import: the fault of a key that
// unwrapped but is not accepted, or errMaterial for every other fault of the material.
func (im *importing) refusal(err error) error {
	var fault *pkcs8.Error
	switch {
	case errors.As(err, &fault) && im.issued.Path == PathHost:
		return &unfit{fault}
	case errors.As(err, &fault):
		// The device holds the material and the host only what the device reports of it, so
		// the attempt counts as failed, like one that does not unwrap.
		return fmt.Errorf("%w: %w", ErrImport, fault)
	case errors.Is(err, driver.Authentic), errors.Is(err, driver.Invalid):
		return errMaterial
	}
	return err
}

// An unfit is the error for material that was wrapped correctly, with authentication, but
// is not accepted. It says what is wrong. The attempt does not count as failed, because
// only the owner of the material can have wrapped it.
type unfit struct{ fault *pkcs8.Error }

// Error returns the fault and its remedy.
func (u *unfit) Error() string { return ErrImport.Error() + ": " + u.fault.Error() }

// Unwrap returns ErrImport and the fault.
func (u *unfit) Unwrap() []error { return []error{ErrImport, u.fault} }

// uncounted reports whether an attempt that failed with err does not count.
func uncounted(err error) bool {
	var u *unfit
	return errors.As(err, &u)
}

// openWrappingKey opens the wrapping key of the token.
func (im *importing) openWrappingKey(ctx context.Context) (driver.Key, error) {
	d, err := im.v.driver(im.issued.Driver)
	if err != nil {
		return nil, err
	}
	r, err := im.v.store.Get(ctx, materialPath(im.token.serial))
	if errors.Is(err, keystore.ErrNotFound) {
		return nil, errStale // the token was replaced in between
	}
	if err != nil {
		return nil, err
	}
	key, err := opened(d.OpenKey(ctx, im.token.serial, im.issued.Spec, r.Value))
	if errors.Is(err, driver.Authentic) || errors.Is(err, driver.Invalid) {
		return nil, fmt.Errorf("%w: wrapping key: %w", ErrCorrupt, err)
	}
	return key, err
}

// host unwraps the material in locked memory and imports it from there.
func (im *importing) host(ctx context.Context, w driver.Wrapped) (created driver.Created, marks []mark, err error) {
	buf, err := im.v.arena.Alloc(unwrap.MaxMaterial)
	if err != nil {
		return created, nil, err
	}
	defer buf.Free()
	material, err := im.unwrap(ctx, buf.Bytes()[:0], w)
	if err != nil {
		return created, nil, err
	}
	spec := im.ver.spec()
	if err := im.accept(material); err != nil {
		return created, nil, err
	}
	if symmetric(spec) {
		marks = hostMarks(material, im.v.cfg.Edition)
	}
	importer, err := im.v.hostImporter(im.v.drivers[im.t.Driver], spec, im.row)
	if err != nil {
		return created, nil, err
	}
	created, err = importer.ImportKey(ctx, im.id, spec, material)
	return created, marks, err
}

// accept checks material that the host unwrapped. For a private key it applies the rules
// of package pkcs8, which are the same for all drivers, and restricts the version's
// signature algorithms to those that the key allows.
func (im *importing) accept(material []byte) error {
	spec := im.ver.spec()
	if symmetric(spec) {
		want := materialSize(im.t.Key, spec, im.v.cfg.Edition)
		switch {
		case len(material) == want:
			return nil
		case im.row.private: // AES-KWP authenticates
			return &pkcs8.Error{Fault: fmt.Sprintf("the material has %d bytes, the CMK takes %d raw bytes", len(material), want),
				Remedy: "give ImportParameters.MaterialSize bytes, and not their text in hexadecimal or base64"}
		}
		return errMaterial
	}
	key, err := pkcs8.Parse(spec, material)
	if err != nil {
		return err
	}
	key.Wipe()
	return im.ver.restrict(key.PSS)
}

// unwrap appends the material to dst. With PKCS #1 v1.5, bad padding yields synthetic
// bytes, which in about one case of 245 have the length that the CMK accepts. To detect
// them, unwrap unwraps twice with different rejection keys: the synthetic bytes differ, the
// material does not.
func (im *importing) unwrap(ctx context.Context, dst []byte, w driver.Wrapped) ([]byte, error) {
	material, err := im.unwrapOnce(ctx, dst, w, "one")
	if err != nil || im.row.alg != WrapRSAESPKCS1V15 {
		return material, err
	}
	buf, err := im.v.arena.Alloc(unwrap.MaxMaterial)
	if err != nil {
		return nil, err
	}
	defer buf.Free()
	again, err := im.unwrapOnce(ctx, buf.Bytes()[:0], w, "two")
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(material, again) != 1 {
		return nil, errMaterial
	}
	return material, nil
}

// unwrapOnce appends the material to dst, or if the padding is bad the synthetic bytes of
// the named rejection key.
func (im *importing) unwrapOnce(ctx context.Context, dst []byte, w driver.Wrapped, rejection string) ([]byte, error) {
	key := suite.NewSecret(suite.HashSize)
	defer suite.Wipe(key)
	im.v.suite.MACTo(key, im.v.secrets.rejection(), []byte(im.issued.Serial), []byte(rejection))
	return unwrap.Unwrap(ctx, dst, w, key)
}
