package driver

import (
	"context"
	"iter"
)

// An Importer imports material that is in the host's memory.
type Importer interface {
	// ImportKey stores material under id. It is repeatable (see the package
	// documentation). The caller wipes material after the call. Material of a wrong
	// length or form is Invalid, and so is a private key whose parts contradict each
	// other; the cause names the fault.
	ImportKey(ctx context.Context, id MaterialID, spec KeySpec, material []byte) (Created, error)
}

// A WrappedImporter unwraps material inside the device, so that the host never holds it
// in the clear.
type WrappedImporter interface {
	// GenerateWrappingKey generates a key pair of usage Unwrap. A repeated call with the same
	// id has the effect of one. The key is opened and destroyed like any other. The sender of
	// material wraps it for Created.PublicDER.
	GenerateWrappingKey(ctx context.Context, id MaterialID, alg KeyAlgorithm) (Created, error)
	// ImportWrapped unwraps w into material named id. It is repeatable.
	//
	// Before it returns a private key, the driver checks the public key that the device
	// reports, as an Importer does, and has the key compute a result that the public key
	// verifies. The driver destroys a key that fails these checks in the device.
	//
	// Errors:
	//   - Authentic: the ciphertext does not unwrap, for any reason, or the private key
	//     does not match the public key.
	//   - Invalid: the unwrapped key is malformed or its parts contradict each other.
	ImportWrapped(ctx context.Context, id MaterialID, spec KeySpec, w Wrapped) (Created, error)
}

// Wrapped is material for a WrappedImporter.
type Wrapped struct {
	// With is the opened wrapping key.
	With       Key
	Alg        WrapAlg
	Ciphertext []byte
}

// A Lister lists the material in the device. Client.Orphans of package vault uses it.
type Lister interface {
	// ListKeys yields the id of each key that this driver created. It stops after the
	// first error.
	ListKeys(ctx context.Context) iter.Seq2[MaterialID, error]
}

// Random is a device's own random number generator.
type Random interface {
	// Random fills p. The caller mixes the bytes with those of the operating system, and
	// never uses them alone. A vault calls Random when it is opened, and every ten
	// minutes from then on; no operation waits for it.
	Random(ctx context.Context, p []byte) error
}

// A Counter is a monotonic counter that survives a restart. It can anchor a vault against
// the rollback of its whole directory; the vault does not use it yet.
type Counter interface {
	// Identity returns an identifier of this counter. A counter that was deleted and
	// created again has another identity.
	Identity(ctx context.Context) (string, error)
	// Read returns the count.
	Read(ctx context.Context) (uint64, error)
	// Increment adds one and returns the new count.
	Increment(ctx context.Context) (uint64, error)
}

// A Discarder is a Protector whose device keeps a key for each blob that Protect returned.
type Discarder interface {
	// Discard destroys the key of a blob that is stored nowhere, as after a failed commit. It
	// is repeatable. A blob whose key serves other blobs too is Invalid, and so are bytes that
	// are no blob of the protector.
	Discard(ctx context.Context, b Binding, blob Blob) error
}

// A WorkEstimator is a Protector whose Recover costs as much work as the blob demands, as
// for a passphrase. A vault calls Work before Recover, because the blob is not
// authenticated at that point.
type WorkEstimator interface {
	// Work returns the cost of Recover for blob, in units of one pass of Argon2id over 1
	// MiB or 3,000 iterations of PBKDF2, which is about a millisecond. It is 0 for a blob
	// that Recover rejects without that work.
	Work(b Binding, blob Blob) uint64
}
