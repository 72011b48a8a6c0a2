package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

// A MessageType says what the message argument of Sign and Verify is. Both calls must use
// the same.
type MessageType string

// The message types.
const (
	// Raw is the message itself, at most MaxMessage bytes. The vault hashes it.
	Raw MessageType = "RAW"
	// Digest is the hash of the message, with exactly the length of the algorithm's hash.
	// For SM2 it is SM3(Z ‖ M), which SM2Digest computes, not SM3(M). Ed25519 does not
	// accept a digest.
	Digest MessageType = "DIGEST"
)

const (
	maxDigest    = 64  // SHA-512
	maxSignature = 512 // RSA-4096
)

// MaxMessage is the maximum length of the message of Sign, Verify and the MAC methods, in
// bytes.
const MaxMessage = 4096

// SM2DefaultID is the signer's id in SM2 signatures if SignOptions.SM2ID is empty (GM/T
// 0009).
const SM2DefaultID = "1234567812345678"

// SignOptions are the options of Sign and Verify.
type SignOptions struct {
	// Algorithm: empty means the default of the key's spec, which for RSA is RSAPSSSHA256.
	Algorithm SignAlgorithm
	// MessageType: empty means Raw.
	MessageType MessageType
	// SM2ID is the signer's id for raw messages with SM2, at most 8191 bytes. Empty means
	// SM2DefaultID.
	SM2ID []byte
}

// Sign signs a message, or its digest, under the CMK. Errors: ErrTooLarge; ErrInvalid for a
// wrong algorithm or length; ErrUsage; ErrKeyState; ErrDenied; ErrUnsupported if the key's
// driver does not have the algorithm, or an imported key does not allow it
// (KeyVersion.SignAlgorithms).
func (c Client) Sign(ctx context.Context, key string, message []byte, o SignOptions) ([]byte, error) {
	if err := o.check(message); err != nil {
		return nil, c.reject(ctx, request{op: OpSign, key: key}, err)
	}
	own := c.vault.own(message)
	defer own.release()
	o.SM2ID = slices.Clone(o.SM2ID)
	var signature []byte
	err := c.onKey(ctx, request{op: OpSign, key: key, size: len(message)}, func(ctx context.Context, t *target, e *entry) error {
		s, err := c.vault.signing(ctx, t, own.bytes, o)
		if err != nil {
			return err
		}
		e.rec.Algorithm = string(s.row.alg)
		err = withKey(ctx, c.vault, s.ver, func(ctx context.Context, key driver.Signer) (err error) {
			signature, err = key.Sign(ctx, s.row.device, s.input)
			return err
		})
		e.rec.OutputSize = uint64(len(signature))
		return err
	})
	if err != nil {
		return nil, err
	}
	return signature, nil
}

// Verify reports whether signature is a valid signature of the message, or digest, under
// the CMK. It uses the stored public key, not the device. A wrong signature is not an
// error. Errors: those of Sign.
func (c Client) Verify(ctx context.Context, key string, message, signature []byte, o SignOptions) (bool, error) {
	if err := o.check(message); err != nil {
		return false, c.reject(ctx, request{op: OpVerify, key: key}, err)
	}
	own := c.vault.own(message)
	defer own.release()
	o.SM2ID, signature = slices.Clone(o.SM2ID), atMost(signature, maxSignature)
	valid := false
	err := c.onKey(ctx, request{op: OpVerify, key: key, size: len(message)}, func(ctx context.Context, t *target, e *entry) error {
		s, err := c.vault.signing(ctx, t, own.bytes, o)
		if err != nil {
			return err
		}
		err = soft.Verify(s.ver.Public, s.row.device, s.input, signature)
		valid = err == nil
		e.rec.Algorithm = string(s.row.alg)
		e.rec.Detail = map[string]string{"valid": fmt.Sprint(valid)}
		if errors.Is(err, driver.Authentic) {
			return nil
		}
		return err
	})
	return valid && err == nil, err
}

// check rejects options and messages that no key accepts.
func (o SignOptions) check(message []byte) error {
	switch o.MessageType {
	case "", Raw:
		if len(message) > MaxMessage {
			return fmt.Errorf("%w: message has %d bytes, the limit is %d; sign its digest, which every algorithm but ED25519 takes",
				ErrTooLarge, len(message), MaxMessage)
		}
		return checkSM2ID(o.SM2ID)
	case Digest:
		if len(message) > maxDigest {
			return invalid("digest has %d bytes, the longest has %d", len(message), maxDigest)
		}
		if len(o.SM2ID) > 0 {
			return invalid("an SM2 id goes with raw messages; a digest has it inside")
		}
	default:
		return invalid("message type %.80q is neither %s nor %s", o.MessageType, Raw, Digest)
	}
	return nil
}

// signing is one signature to make or to verify.
type signing struct {
	ver   version
	row   signRow
	input []byte // input of driver.Signer
}

// signing prepares a message for the primary version of a CMK.
func (v *Vault) signing(ctx context.Context, t *target, message []byte, o SignOptions) (s signing, err error) {
	if s.row, err = chooseSign(t.Spec, o.Algorithm); err != nil {
		return s, err
	}
	if len(o.SM2ID) > 0 && t.Spec != SM2 {
		return s, invalid("an SM2 id goes with SM2 keys")
	}
	if s.ver, err = v.keys.version(ctx, t.ID, t.Version); err != nil {
		return s, err
	}
	if s.row, err = s.ver.narrow(s.row, o.Algorithm); err != nil {
		return s, err
	}
	if o.MessageType != Digest {
		s.input, err = s.row.digest(message, s.ver.Public, o.SM2ID)
		return s, err
	}
	if s.row.device.TakesMessage() {
		return s, invalid("%s takes messages, not digests", s.row.alg)
	}
	if want := s.row.device.DigestSize(); len(message) != want {
		return s, invalid("digest has %d bytes, %s takes %d", len(message), s.row.alg, want)
	}
	s.input = message
	return s, nil
}
