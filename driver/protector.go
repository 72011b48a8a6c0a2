package driver

import "context"

// A Protector wraps the root of a vault: a passphrase, a recovery code, a key
// file, a TPM or a token. Any one of a vault's protectors opens it.
type Protector interface {
	// Kind names the sort of protector: "passphrase", "recovery-code", "key-file",
	// "tpm", "pkcs11". A vault offers a stored blob to protectors of its kind only.
	Kind() string

	// MachineBound reports whether the protector is lost with this machine.
	MachineBound() bool

	// Protect wraps root (32 bytes) for the vault named in b. The blob is stored in
	// the root file, at most 16 KiB, beside b and readable by anyone.
	Protect(ctx context.Context, b Binding, root []byte) (Blob, error)

	// Recover appends the root to dst, which should have capacity for it; the
	// caller wipes. A blob that this protector does not open (another passphrase,
	// another vault's blob, a flipped bit) is Denied; one that demands more work or
	// memory than is sane is Invalid. A device that is not there is Unavailable.
	Recover(ctx context.Context, dst []byte, b Binding, blob Blob) ([]byte, error)
}

// A Binding ties a protector's blob to one vault and its edition.
type Binding struct {
	VaultID [16]byte
	Edition Edition
}

// An Edition fixes which algorithms a vault uses, for its whole life.
type Edition uint8

// The editions.
const (
	// Standard: SHA-256 and AES-256-GCM for the vault itself; every algorithm.
	Standard Edition = iota
	// FIPS: approved algorithms only; passphrases by PBKDF2.
	FIPS
	// SM: SM3 and SM4-GCM for the vault itself; passphrases by PBKDF2 with SM3.
	SM
)

// String returns "STANDARD", "FIPS" or "SM".
func (e Edition) String() string {
	switch e {
	case Standard:
		return "STANDARD"
	case FIPS:
		return "FIPS"
	case SM:
		return "SM"
	}
	return "UNKNOWN"
}
