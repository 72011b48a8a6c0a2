package wrapping

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/pkcs8"
	"strongroom.example/internal/suite"
	"strongroom.example/internal/unwrap"
	"strongroom.example/vault/internal/fault"
)

// ErrMaterial is the one error for every way in which material does not unwrap, and for
// material of a wrong length that was unwrapped without authentication.
var ErrMaterial = fmt.Errorf("%w: the material cannot be unwrapped with the token's algorithm, or is not material for the CMK", fault.ErrImport)

// An UnacceptableKey is the error for material that was wrapped correctly, with
// authentication, but is not accepted. It says what is wrong. The attempt does not count as
// failed, because only the owner of the material can have wrapped it.
type UnacceptableKey struct{ Fault *pkcs8.Error }

// Error returns the fault and its remedy.
func (u *UnacceptableKey) Error() string { return fault.ErrImport.Error() + ": " + u.Fault.Error() }

// Unwrap returns ErrImport and the fault.
func (u *UnacceptableKey) Unwrap() []error { return []error{fault.ErrImport, u.Fault} }

// Rejection returns the error for the caller after an import on a path failed with err: the
// fault of a key that unwrapped but is not accepted, or ErrMaterial for every other fault of
// the material.
func Rejection(path string, err error) error {
	var key *pkcs8.Error
	switch {
	case errors.As(err, &key) && path == Host:
		return &UnacceptableKey{key}
	case errors.As(err, &key):
		// The device holds the material and the host only what the device reports of it, so
		// the attempt counts as failed, like one that does not unwrap.
		return fmt.Errorf("%w: %w", fault.ErrImport, key)
	case errors.Is(err, driver.Authentic), errors.Is(err, driver.Invalid):
		return ErrMaterial
	}
	return err
}

// MaterialSize returns the required length of symmetric material in bytes: that of a generated
// key, or 16 for an SM4 key of a CMK that encrypts in the SM edition. It returns 0 for private
// keys.
func MaterialSize(spec driver.KeySpec, encrypts bool, e driver.Edition) int {
	switch {
	case !Symmetric(spec):
		return 0
	case encrypts && e == driver.SM:
		return 16
	}
	return spec.Algorithm.MACSize()
}

// A HostUnwrapper unwraps material in locked memory of this process.
type HostUnwrapper struct {
	Arena *lockedmem.Arena
	Row   Row
	// Spec and Size are those of the material; see MaterialSize.
	Spec driver.KeySpec
	Size int
	// RejectionKey computes the key with the given name, from which the synthetic bytes for
	// bad PKCS #1 v1.5 padding follow.
	RejectionKey func(key []byte, name string)
}

// Unwrap unwraps w, checks the material, and passes it to use, with the restriction that a
// private key names. The material is wiped when use returns.
func (h HostUnwrapper) Unwrap(ctx context.Context, w driver.Wrapped, use func(material []byte, pss *pkcs8.PSS) error) error {
	buf, err := h.Arena.Alloc(unwrap.MaxMaterial)
	if err != nil {
		return err
	}
	defer buf.Free()
	material, err := h.unwrap(ctx, buf.Bytes()[:0], w)
	if err != nil {
		return err
	}
	pss, err := h.check(material)
	if err != nil {
		return err
	}
	return use(material, pss)
}

// unwrap appends the material to dst. With PKCS #1 v1.5, bad padding yields synthetic
// bytes, which in about one case of 245 have the length that the CMK accepts. To detect
// them, unwrap unwraps twice with different rejection keys: the synthetic bytes differ, the
// material does not.
func (h HostUnwrapper) unwrap(ctx context.Context, dst []byte, w driver.Wrapped) ([]byte, error) {
	material, err := h.unwrapOnce(ctx, dst, w, "one")
	if err != nil || h.Row.Algorithm != PKCS1 {
		return material, err
	}
	buf, err := h.Arena.Alloc(unwrap.MaxMaterial)
	if err != nil {
		return nil, err
	}
	defer buf.Free()
	again, err := h.unwrapOnce(ctx, buf.Bytes()[:0], w, "two")
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(material, again) != 1 {
		return nil, ErrMaterial
	}
	return material, nil
}

// unwrapOnce appends the material to dst, or if the padding is bad the synthetic bytes of
// the named rejection key.
func (h HostUnwrapper) unwrapOnce(ctx context.Context, dst []byte, w driver.Wrapped, rejection string) ([]byte, error) {
	key := suite.NewSecret(suite.HashSize)
	defer suite.Wipe(key)
	h.RejectionKey(key, rejection)
	return unwrap.Unwrap(ctx, dst, w, key)
}

// check checks unwrapped material. For a private key it applies the rules of package pkcs8,
// which are the same for all drivers, and returns the restriction that the key names.
func (h HostUnwrapper) check(material []byte) (*pkcs8.PSS, error) {
	if !Symmetric(h.Spec) {
		key, err := pkcs8.Parse(h.Spec, material)
		if err != nil {
			return nil, err
		}
		key.Wipe()
		return key.PSS, nil
	}
	switch {
	case len(material) == h.Size:
		return nil, nil
	case h.Row.Private: // AES-KWP authenticates
		return nil, &pkcs8.Error{Fault: fmt.Sprintf("the material has %d bytes, the CMK needs %d raw bytes", len(material), h.Size),
			Remedy: "wrap ImportParameters.MaterialSize raw bytes, not their text in hexadecimal or base64"}
	}
	return nil, ErrMaterial
}
