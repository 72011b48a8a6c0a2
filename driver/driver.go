package driver

import "context"

// A Driver makes, opens and destroys key material in one device.
//
// All methods are safe for concurrent use. Sessions, pools, queues and handle
// caches live inside the driver.
type Driver interface {
	// Info says what the device is and what it can do, as confirmed by self-test
	// when the driver was opened. It does no I/O, and the answer does not change.
	// The caller does not modify it.
	Info() Info

	// GenerateKey makes material inside the device. It is repeatable (see the
	// package documentation). A spec that Info does not list is Unsupported.
	GenerateKey(ctx context.Context, id MaterialID, spec KeySpec) (Created, error)

	// OpenKey readies material for use. The dynamic type of the Key has the
	// interface of spec.Usage: PRF, AEAD, Signer or Decrypter. blob is what
	// creation returned. Absent material is NotFound; a blob that was changed, or
	// that belongs to another id or spec, is Authentic.
	OpenKey(ctx context.Context, id MaterialID, spec KeySpec, blob Blob) (Key, error)

	// DestroyKey destroys material. Material that is truly absent is no error. For
	// a driver that returns blobs it does nothing lasting: such keys die with the
	// key that wraps their blob.
	DestroyKey(ctx context.Context, id MaterialID, blob Blob) error

	// Close waits for running calls and releases the device. Later calls, on the
	// driver and on its keys, answer Unavailable. Closing twice is no error.
	Close() error
}

// A Key is opened material. Its methods are safe for concurrent use.
type Key interface {
	// Close releases what the driver holds for the key, after running calls. It
	// does not destroy the material. Later calls answer Unavailable; closing twice
	// is no error.
	Close() error
}

// A Tracked key is an object of a device that the driver finds by its id, and may have to
// find again: after a new login, or when a handle was lost. Whoever may write to the
// device can have put another key under the id by then, so the caller checks the key again.
type Tracked interface {
	Key
	// Lookups returns how often the driver has looked the object up. A result was computed
	// by the object that the caller has checked if the number is the same before and
	// after the call. It does no I/O.
	Lookups() uint64
}

// A PRF is a key of usage Derive: HMAC-SHA-256 or HMAC-SM3.
type PRF interface {
	Key
	// PRF appends the 32-byte output for input (at most 4096 bytes; more is
	// Invalid) to dst. The output is secret.
	PRF(ctx context.Context, dst, input []byte) ([]byte, error)
}

// An AEAD is a key of usage Seal: the device's own authenticated cipher. It makes
// and frames its own nonce, since some devices insist on that.
type AEAD interface {
	Key
	// Seal appends nonce, ciphertext and tag to dst.
	Seal(ctx context.Context, dst, plaintext, aad []byte) ([]byte, error)
	// Open appends the plaintext to dst. Whatever is wrong with the ciphertext or
	// aad, the class is Authentic and dst is not extended.
	Open(ctx context.Context, dst, ciphertext, aad []byte) ([]byte, error)
}

// A Signer is a key of usage Sign.
type Signer interface {
	Key
	// Sign signs input: a digest of exactly alg.DigestSize bytes, or the whole
	// message (at most 4096 bytes) where alg takes messages. Another length is
	// Invalid, an algorithm that Info does not list for the spec is Unsupported.
	// ECDSA and SM2 signatures are ASN.1 DER.
	Sign(ctx context.Context, alg SignAlg, input []byte) ([]byte, error)
}

// A Decrypter is a private key of usage Decrypt.
type Decrypter interface {
	Key
	// Decrypt appends the plaintext to dst; it is secret. Every way in which a
	// ciphertext can be wrong is Authentic, and dst is not extended.
	Decrypt(ctx context.Context, dst []byte, alg EncryptAlg, ciphertext []byte) ([]byte, error)
}
