package driver

import (
	"context"
	"encoding/hex"
)

// A Driver generates, opens and destroys key material in one device.
//
// All methods are safe for concurrent use. Sessions, pools, queues and caches of handles
// are internal to the driver.
type Driver interface {
	// Info describes the device and its abilities, as confirmed by the self-test that ran when
	// the driver was opened. It does no I/O, and always returns the same value. The caller must
	// not modify the result.
	Info() Info

	// GenerateKey generates material inside the device. It is repeatable (see the package
	// documentation). A spec that Info does not list is Unsupported.
	GenerateKey(ctx context.Context, id MaterialID, spec KeySpec) (Created, error)

	// OpenKey opens material for use. The dynamic type of the Key implements the
	// interface of spec.Usage: PRF, Signer or Decrypter. blob is the one that
	// creation returned.
	//
	// Errors:
	//   - NotFound: the device has no such material.
	//   - Authentic: the blob was changed, or belongs to another id or spec.
	//   - Unsupported: Info does not list spec.
	OpenKey(ctx context.Context, id MaterialID, spec KeySpec, blob Blob) (Key, error)

	// DestroyKey destroys material. It returns nil if the device has no such material. In
	// a driver that returns blobs it has no lasting effect: such a key becomes unusable
	// when the key that wraps its blob is destroyed.
	DestroyKey(ctx context.Context, id MaterialID, blob Blob) error

	// Close waits for running calls and releases the device. Later calls on the driver
	// and on its keys fail with Unavailable. Closing twice is not an error.
	Close() error
}

// A Key is opened material. Its methods are safe for concurrent use.
type Key interface {
	// Close waits for running calls on the key and releases the resources that the driver holds
	// for it. It does not destroy the material. Later calls fail with Unavailable. Closing
	// twice is not an error.
	Close() error
}

// A Tracked key is an object of a device that the driver finds by its id, and may have to
// find again: after a new login, or when its handle was lost. Another program that may
// write to the device can have put a different key under the id by then, so the caller
// must check the key again.
type Tracked interface {
	Key
	// Lookups returns how often the driver has looked the object up. If the number is the
	// same before and after a call, the result of that call was computed by the object
	// that the caller has checked. Lookups does no I/O.
	Lookups() uint64
}

// MaxInput is the length in bytes of the longest input of a PRF, and of the longest message
// of a Signer whose algorithm takes the message.
const MaxInput = 4096

// A PRF is a key of usage Derive, which computes HMAC.
type PRF interface {
	Key
	// PRF appends the output for input to dst, of KeyAlgorithm.MACSize bytes. The output is
	// secret; the caller wipes it. An input of more than MaxInput bytes is Invalid.
	PRF(ctx context.Context, dst, input []byte) ([]byte, error)
}

// A Signer is a key of usage Sign.
type Signer interface {
	Key
	// Sign signs input: a digest of exactly alg.DigestSize bytes, or, where
	// alg.TakesMessage, the whole message of at most MaxInput bytes. ECDSA and SM2 signatures
	// are ASN.1 DER.
	//
	// Errors:
	//   - Invalid: input has another length.
	//   - Unsupported: Info does not list alg for the key's spec.
	Sign(ctx context.Context, alg SignAlg, input []byte) ([]byte, error)
}

// A Decrypter is a private key of usage Decrypt.
type Decrypter interface {
	Key
	// Decrypt appends the plaintext to dst; the plaintext is secret, and the caller wipes
	// it. If the ciphertext is wrong in any way the class is Authentic, and dst is not
	// extended. An algorithm that Info does not list for the key's spec is Unsupported.
	Decrypt(ctx context.Context, dst []byte, alg EncryptAlg, ciphertext []byte) ([]byte, error)
}

// A MaterialID names one piece of key material: 16 fresh random bytes for each key
// version and for each attempt to import or move one. On a token it is CKA_ID. An id is
// never reused, because some tokens silently replace a key when an id repeats. It is
// never a part of a ciphertext.
type MaterialID [16]byte

// String returns the id in hexadecimal.
func (id MaterialID) String() string { return hex.EncodeToString(id[:]) }

// A Blob is the data that the vault must store for a key on behalf of the driver: wrapped
// key bytes, the public and private areas of a TPM key, or nothing for an object in a
// token. It is opaque to the vault, does not disclose the material, and is at most 16
// KiB.
type Blob []byte

// Created is the result of generating or importing material.
type Created struct {
	// Blob is to be passed to OpenKey and DestroyKey. It is empty for an object in the
	// device.
	Blob Blob
	// PublicDER is the public key as X.509 SubjectPublicKeyInfo (RFC 5280), for
	// asymmetric specs. The vault stores it, because some devices cannot return it later.
	PublicDER []byte
	// Attributes are properties of the material as read back from the device, for display
	// and for the audit log ("extractable": "false"). They are never secret.
	Attributes map[string]string
}
