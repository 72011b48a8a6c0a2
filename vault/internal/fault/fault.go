// Package fault has the errors of package vault, which exports and documents them, for the
// packages inside it.
package fault

import (
	"errors"
	"fmt"
)

// The errors of package vault.
var (
	ErrNoVault                = errors.New("there is no vault in the directory")
	ErrExists                 = errors.New("already exists")
	ErrInUse                  = errors.New("vault is in use")
	ErrUnlock                 = errors.New("no given protector opens the vault")
	ErrDenied                 = errors.New("denied")
	ErrApproval         error = &kindOf{ErrDenied, "approvals are missing"}
	ErrNotFound               = errors.New("not found")
	ErrKeyState               = errors.New("key state does not allow this")
	ErrKeyBound         error = &kindOf{ErrKeyState, "resources are bound to the key"}
	ErrDataKeyState     error = &kindOf{ErrKeyState, "data key state does not allow this"}
	ErrUsage                  = errors.New("key has another usage")
	ErrInvalid                = errors.New("invalid request")
	ErrToken            error = &kindOf{ErrInvalid, "token rejected"}
	ErrTooLarge               = errors.New("too large")
	ErrUnsupported            = errors.New("unsupported")
	ErrCiphertext             = errors.New("ciphertext cannot be decrypted")
	ErrThrottled              = errors.New("throttled")
	ErrUnavailable            = errors.New("unavailable")
	ErrReplaced               = fmt.Errorf("%w: the vault's directory or a file in it was replaced", ErrUnavailable)
	ErrAuditUnavailable       = errors.New("audit log cannot be written")
	ErrStorageFull            = errors.New("storage is full")
	ErrLockedMemory           = errors.New("locked memory is exhausted")
	ErrSelfTest               = errors.New("the cryptographic self-test failed")
	ErrCorrupt                = errors.New("vault is damaged")
	ErrRolledBack             = errors.New("vault was rolled back")
	ErrNotExportable          = errors.New("material cannot leave its device")
	ErrImport                 = errors.New("import rejected")
	ErrImportToken      error = &kindOf{ErrImport, "import token rejected"}
	ErrOtherMaterial    error = &kindOf{ErrImport, "import of other material rejected"}
	ErrWrongDevice            = errors.New("the material or protector belongs to another device")
	ErrWrongVault             = errors.New("the directory holds another vault than the pinned one")
	ErrKeyReplaced            = errors.New("the device has another key in place of this one")
	ErrAuditCut               = errors.New("the audit records were removed by a cut")
	ErrAuditLost              = errors.New("the audit records were lost before a repair")
	ErrRotatedRecently        = errors.New("rotated a short time ago")
	ErrMinimumVersion         = errors.New("key version is below the minimum version of the key")
	ErrVersionUsed            = errors.New("the key version may have ciphertexts")
	ErrClosed                 = errors.New("closed")
)

// A kindOf is a sentinel that also matches a wider sentinel.
type kindOf struct {
	wider error
	text  string
}

// Error returns the text.
func (k *kindOf) Error() string { return k.text }

// Unwrap returns the wider sentinel.
func (k *kindOf) Unwrap() error { return k.wider }

// Invalid returns an ErrInvalid with the given text.
func Invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}
