package driver

import "context"

// A Protector wraps the root key of a vault, under a passphrase, a recovery code, a key
// file, a TPM or a token. Each of a vault's protectors can open the vault alone.
type Protector interface {
	// Kind returns the kind of protector: "passphrase", "recovery-code", "key-file",
	// "tpm" or "pkcs11". A vault passes a stored blob only to protectors of the blob's
	// kind.
	Kind() string

	// MachineBound reports whether the protector becomes useless if this machine is lost.
	MachineBound() bool

	// Protect wraps root (32 bytes) for the vault that b names. The vault stores the
	// blob, of at most 16 KiB, in its root file beside b; anyone may read it. The caller
	// wipes root.
	Protect(ctx context.Context, b Binding, root []byte) (Blob, error)

	// Recover appends the root to dst, whose capacity should suffice; the caller wipes
	// the root.
	//
	// Errors:
	//   - Denied: this protector does not open the blob. The passphrase is another one,
	//     the blob belongs to another vault, or a bit was changed.
	//   - Invalid: the blob demands more work or memory than the protector allows.
	//   - Unavailable: the device cannot be reached.
	Recover(ctx context.Context, dst []byte, b Binding, blob Blob) ([]byte, error)
}

// A Binding ties a protector's blob to one vault and to its edition.
type Binding struct {
	VaultID [16]byte
	Edition Edition
}

// An Edition selects the algorithms of a vault. It is fixed for the life of the vault.
type Edition uint8

// The editions.
const (
	// Standard: SHA-256 and AES-256-GCM for the vault itself; every key algorithm.
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
