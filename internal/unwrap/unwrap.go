// Package unwrap unwraps imported key material in the host, for drivers that cannot
// unwrap in the device. The private half of the wrapping key stays in a driver, which may
// be any driver.
package unwrap

import (
	"context"
	"errors"

	"strongroom.example/driver"
	"strongroom.example/internal/keywrap"
	"strongroom.example/internal/pkcs1"
	"strongroom.example/internal/suite"
)

const (
	// MaxMaterial is the longest material in bytes. The PKCS #8 of an RSA-4096 key has
	// about 2400.
	MaxMaterial = 4096
	// MaxCiphertext is the longest wrapped material in bytes.
	MaxCiphertext = modulus + 8 + MaxMaterial

	modulus = 256 // bytes, of RSA-2048
	maxSM2  = 256 // bytes, in ASN.1
)

var (
	errAlgorithm = errors.New("wrapping algorithm not offered")
	errKey       = errors.New("the wrapping key does not decrypt")
	errRejection = errors.New("the key for synthetic messages has a wrong length")
	errWrapped   = errors.New("material does not unwrap")
)

// Unwrap appends the material to dst, in place if dst has a spare capacity of MaxMaterial
// bytes. w.With is a driver.Decrypter of the spec that KeySpec returns. rejection is a
// secret of pkcs1.KeySize bytes that belongs to this wrapping key; only RSAPKCS1 uses it.
// The caller wipes rejection and dst.
//
// Errors:
//   - Unsupported: the algorithm is unknown.
//   - Authentic: the ciphertext is wrong, in any way; dst is not extended.
//   - The errors of the driver.
//
// Invalid PKCS #1 v1.5 padding is not an error: it gives wrong material, most likely of a
// wrong length. The caller checks the length, and reports a wrong one as Authentic.
func Unwrap(ctx context.Context, dst []byte, w driver.Wrapped, rejection []byte) ([]byte, error) {
	s, ok := find(w.Alg)
	if !ok {
		return nil, fault(driver.Unsupported, errAlgorithm)
	}
	key, ok := w.With.(driver.Decrypter)
	if !ok {
		return nil, fault(driver.Invalid, errKey)
	}
	if len(rejection) != pkcs1.KeySize && s.carries == padded {
		return nil, fault(driver.Invalid, errRejection)
	}
	first, rest, ok := s.split(w.Ciphertext)
	if !ok {
		return nil, fault(driver.Authentic, errWrapped)
	}
	if s.carries == bare {
		return s.decrypt(ctx, key, dst, first)
	}
	var buffer [modulus]byte
	defer suite.Wipe(buffer[:])
	inner, err := s.decrypt(ctx, key, buffer[:0], first)
	if err != nil {
		return nil, err
	}
	if s.carries == padded {
		dst, err = pkcs1.Unpad(dst, inner, first, rejection)
	} else {
		dst, err = keywrap.Unwrap(dst, inner, rest)
	}
	if err != nil {
		return nil, fault(driver.Authentic, errWrapped)
	}
	return dst, nil
}

// split separates the part that the wrapping key decrypts from the part that an AES key
// decrypts, and checks their lengths.
func (s scheme) split(ciphertext []byte) (first, rest []byte, ok bool) {
	n := len(ciphertext)
	switch {
	case s.key == driver.SM2:
		return ciphertext, nil, n <= maxSM2
	case s.carries != aesKey:
		return ciphertext, nil, n == modulus
	case n <= modulus || n > MaxCiphertext:
		return nil, nil, false
	}
	return ciphertext[:modulus], ciphertext[modulus:], true
}

// decrypt decrypts with the wrapping key. It replaces the driver's error for a wrong
// ciphertext, so that the error does not disclose how far unwrapping got.
func (s scheme) decrypt(ctx context.Context, key driver.Decrypter, dst, ciphertext []byte) ([]byte, error) {
	out, err := key.Decrypt(ctx, dst, s.alg, ciphertext)
	if errors.Is(err, driver.Authentic) {
		return nil, fault(driver.Authentic, errWrapped)
	}
	return out, err
}

func fault(class driver.Class, cause error) error {
	return &driver.Error{Op: "Unwrap", Class: class, Err: cause}
}
