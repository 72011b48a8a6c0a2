package driver

import "context"

// A Driver generates, opens and destroys key material in one device.
//
// All methods are safe for concurrent use. Sessions, pools, queues and caches of handles
// are internal to the driver.
type Driver interface {
	// Info describes the device and what it can do, as confirmed by the self-test that
	// ran when the driver was opened. It does no I/O, and always returns the same value.
	// The caller must not modify the result.
	Info() Info

	// GenerateKey generates material inside the device. It is repeatable (see the package
	// documentation). A spec that Info does not list is Unsupported.
	GenerateKey(ctx context.Context, id MaterialID, spec KeySpec) (Created, error)

	// OpenKey opens material for use. The dynamic type of the Key implements the
	// interface of spec.Usage: PRF, AEAD, Signer or Decrypter. blob is the one that
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
	// Close waits for running calls on the key and releases what the driver holds for it.
	// It does not destroy the material. Later calls fail with Unavailable. Closing twice
	// is not an error.
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

// A PRF is a key of usage Derive: HMAC-SHA-256 or HMAC-SM3.
type PRF interface {
	Key
	// PRF appends the 32-byte output for input to dst. The output is secret; the caller
	// wipes it. An input of more than 4096 bytes is Invalid.
	PRF(ctx context.Context, dst, input []byte) ([]byte, error)
}

// An AEAD is a key of usage Seal: authenticated encryption by the device's own cipher.
// The driver chooses the nonce and frames it into the ciphertext, because some devices
// accept no nonce from outside.
type AEAD interface {
	Key
	// Seal appends nonce, ciphertext and tag to dst.
	Seal(ctx context.Context, dst, plaintext, aad []byte) ([]byte, error)
	// Open appends the plaintext to dst; the plaintext is secret. If the ciphertext or
	// the aad is wrong in any way the class is Authentic, and dst is not extended.
	Open(ctx context.Context, dst, ciphertext, aad []byte) ([]byte, error)
}

// A Signer is a key of usage Sign.
type Signer interface {
	Key
	// Sign signs input: a digest of exactly alg.DigestSize bytes, or, where
	// alg.TakesMessage, the whole message of at most 4096 bytes. ECDSA and SM2 signatures
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
