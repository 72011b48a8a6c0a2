package driver

import (
	"context"
	"iter"
)

// An Importer takes material that is in the host's memory.
type Importer interface {
	// ImportKey stores material under id; it is repeatable. The caller wipes
	// material after the call. Material of a wrong length or form is Invalid, and so is a
	// private key whose parts contradict each other; the cause says what is wrong.
	ImportKey(ctx context.Context, id MaterialID, spec KeySpec, material []byte) (Created, error)
}

// A WrappedImporter unwraps material inside the device, so that the host never
// sees it.
type WrappedImporter interface {
	// GenerateWrappingKey makes a key pair of usage Unwrap; it is opened and
	// destroyed like every other key. PublicDER is what material is wrapped for.
	GenerateWrappingKey(ctx context.Context, id MaterialID, alg KeyAlgorithm) (Created, error)
	// ImportWrapped unwraps w into material named id; it is repeatable. A ciphertext
	// that does not unwrap is Authentic, whatever is wrong with it. Before it returns a
	// private key the driver checks the public half that the device tells as an Importer
	// does, and has the key compute something that the public half proves. A key that fails
	// is destroyed in the device and Invalid or Authentic.
	ImportWrapped(ctx context.Context, id MaterialID, spec KeySpec, w Wrapped) (Created, error)
}

// Wrapped is material for a WrappedImporter.
type Wrapped struct {
	// With is the opened wrapping key.
	With       Key
	Alg        WrapAlg
	Ciphertext []byte
}

// A Lister names the material in the device, for finding orphans.
type Lister interface {
	// ListKeys yields the id of each key that this driver made. An error ends it.
	ListKeys(ctx context.Context) iter.Seq2[MaterialID, error]
}

// Random is a device's own random generator.
type Random interface {
	// Random fills p. Whoever uses it mixes it with the operating system's, and never
	// uses it alone. A vault asks when it is opened, and every ten minutes from then on;
	// no operation waits for it.
	Random(ctx context.Context, p []byte) error
}

// A Counter only goes up, and survives a restart. It is there to anchor a vault against
// the rollback of its whole directory, which the vault does not do yet.
type Counter interface {
	// Identity names this counter, so that one that was made anew is noticed.
	Identity(ctx context.Context) (string, error)
	// Read returns the value.
	Read(ctx context.Context) (uint64, error)
	// Increment adds one and returns the new value.
	Increment(ctx context.Context) (uint64, error)
}

// A WorkEstimator is a Protector whose Recover costs what the blob demands, such as that
// of a passphrase. A vault asks for the work before it has Recover do it, because a blob
// is not authentic then.
type WorkEstimator interface {
	// Work returns what Recover of blob costs: one unit is a pass of Argon2id over 1 MiB,
	// or 3,000 iterations of PBKDF2, which take about a millisecond. It is 0 for a blob
	// that Recover refuses without any work.
	Work(b Binding, blob Blob) uint64
}
