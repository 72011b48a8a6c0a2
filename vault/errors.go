package vault

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The errors that a caller tells apart, as targets for errors.Is. Every error of
// this package is an [*Error] around one of them, or a context's: bare, or in an [*Error]
// where it came from a device. Ask for that by errors.Is too.
var (
	// ErrNoVault: the directory, or its root file, is not there.
	ErrNoVault = errors.New("no vault here")
	// ErrExists: what was to be created is there already.
	ErrExists = errors.New("already exists")
	// ErrInUse: another process, or this one, has the vault open.
	ErrInUse = errors.New("vault is in use")
	// ErrUnlock: none of the given protectors opens the vault.
	ErrUnlock = errors.New("no given protector opens the vault")
	// ErrDenied: the principal may not do this.
	ErrDenied = errors.New("denied")
	// ErrNotFound: no such CMK, alias, version or protector.
	ErrNotFound = errors.New("not found")
	// ErrKeyState: the CMK's state does not allow the operation.
	ErrKeyState = errors.New("key state does not allow this")
	// ErrUsage: the CMK is for another usage.
	ErrUsage = errors.New("key is for another usage")
	// ErrInvalid: the request is wrong; its text says how.
	ErrInvalid = errors.New("invalid request")
	// ErrTooLarge: the input is over the limit.
	ErrTooLarge = errors.New("too large")
	// ErrUnsupported: the vault's edition or the key's driver cannot do this.
	ErrUnsupported = errors.New("unsupported")
	// ErrCiphertext: the ciphertext does not open. It is the one error for every way in
	// which a ciphertext can be wrong, or the context be another than its own.
	ErrCiphertext = errors.New("ciphertext does not open")
	// ErrThrottled: the device is at its limit, the CMK changes faster than it can be used,
	// or its import token has as many tries under way as it has left. Try again after
	// RetryAfter.
	ErrThrottled = errors.New("throttled")
	// ErrUnavailable: the device, or the vault after a failure, cannot work now.
	ErrUnavailable = errors.New("unavailable")
	// ErrReplaced: the vault's directory, or a file in it, was moved, replaced or removed
	// while the vault was open. The vault acknowledges nothing more and touches nothing by
	// its path. It is an ErrUnavailable; the text names the file. Close the vault, put the
	// directory in order, and open it again.
	ErrReplaced = fmt.Errorf("%w: the vault's directory or a file in it was replaced", ErrUnavailable)
	// ErrAuditUnavailable: the audit record could not be made durable, so that the
	// result was not released.
	ErrAuditUnavailable = errors.New("audit log cannot be written")
	// ErrStorageFull: too little disk space is left.
	ErrStorageFull = errors.New("storage is full")
	// ErrLockedMemory: no more memory can be locked; raise RLIMIT_MEMLOCK.
	ErrLockedMemory = errors.New("locked memory is exhausted")
	// ErrSelfTest: a cryptographic primitive of this process computes wrong results, so
	// that nothing is created or opened by it; the text names the primitive. Nothing was
	// changed. The fault is in the program's build, its Go release or the processor: use
	// another build, and check this one by the tests of internal/suite.
	ErrSelfTest = errors.New("the cryptographic self-test failed")
	// ErrCorrupt: stored bytes are not what the vault wrote.
	ErrCorrupt = errors.New("vault is damaged")
	// ErrRolledBack: the store is older than the vault's own memory of it.
	ErrRolledBack = errors.New("vault was rolled back")
	// ErrNotExportable: the material lives in a device and never leaves it.
	ErrNotExportable = errors.New("material cannot leave its device")
	// ErrImport: the import token or the imported material is not accepted; the text
	// says which, and for a private key that unwrapped, what is wrong with it. Nothing was
	// changed, but that failed tries are counted. ErrImportToken and ErrOtherMaterial are
	// kinds of it.
	ErrImport = errors.New("import is not accepted")
	// ErrImportToken: the import token expired, was replaced by a newer one, is used up, is
	// another CMK's, or is not one of this vault. Call ParametersForImport again.
	ErrImportToken error = &kindOf{ErrImport, "import token is not accepted"}
	// ErrOtherMaterial: the material is good, but not that of the CMK's first import.
	ErrOtherMaterial error = &kindOf{ErrImport, "import of other material is not accepted"}
	// ErrWrongDevice: the material, or the protector's blob, belongs to another device,
	// or to this one before it was cleared. A protector that is not bound to the
	// device, such as a recovery code, opens the vault.
	ErrWrongDevice = errors.New("this is not the device that it was made on")
	// ErrWrongVault: the directory holds another vault than Config.VaultID or
	// Config.LogKey pins. Nothing was changed in it.
	ErrWrongVault = errors.New("this is not the vault that is pinned")
	// ErrKeyReplaced: the device has another key in the place of the CMK's: one that does
	// not give the check value on record, or does not fit the public key on record. Nothing
	// that it computed was released. Somebody who may write to the device replaced the
	// key, or the device lost it: restore it from the device's own backup, or make another
	// CMK. Every such attempt is on record as KEY_REPLACED.
	ErrKeyReplaced = errors.New("the device holds another key in the place of this one")
	// ErrClosed: the vault, or the data key, was closed, or Close has begun.
	ErrClosed = errors.New("closed")
)

// A kindOf is a sentinel that matches a wider one as well.
type kindOf struct {
	wider error
	text  string
}

// Error returns the text.
func (k *kindOf) Error() string { return k.text }

// Unwrap returns the wider sentinel.
func (k *kindOf) Unwrap() error { return k.wider }

// An Error says which operation failed, and on what.
type Error struct {
	Op Operation
	// Key is the CMK's id, or what the caller gave for it; empty where there is none.
	Key string
	// State is the CMK's state where that was the reason.
	State KeyState
	// RetryAfter is when to try again after ErrThrottled; 0 for all others, of which
	// ErrUnavailable may pass as well, nobody knows when.
	RetryAfter time.Duration
	Err        error
}

// Error returns operation, key, cause and state.
func (e *Error) Error() string {
	s := "strongroom: " + string(e.Op)
	if e.Key != "" {
		s += " " + shown(e.Key)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.State != "" {
		s += " (state " + string(e.State) + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// sentinels are the errors of this package, with their names in the audit.
var sentinels = []struct {
	err  error
	name string
}{
	{ErrKeyReplaced, "KEY_REPLACED"}, {ErrWrongDevice, "WRONG_DEVICE"}, {ErrWrongVault, "WRONG_VAULT"}, {ErrNoVault, "NO_VAULT"}, {ErrExists, "EXISTS"}, {ErrInUse, "IN_USE"}, {ErrUnlock, "UNLOCK"},
	{ErrDenied, "DENIED"}, {ErrNotFound, "NOT_FOUND"}, {ErrKeyState, "KEY_STATE"}, {ErrUsage, "USAGE"},
	{ErrImport, "IMPORT"}, {ErrNotExportable, "NOT_EXPORTABLE"}, {ErrInvalid, "INVALID"}, {ErrTooLarge, "TOO_LARGE"}, {ErrUnsupported, "UNSUPPORTED"},
	{ErrCiphertext, "CIPHERTEXT"}, {ErrThrottled, "THROTTLED"}, {ErrLockedMemory, "LOCKED_MEMORY"}, {ErrSelfTest, "SELF_TEST"},
	{ErrAuditUnavailable, "AUDIT_UNAVAILABLE"}, {ErrStorageFull, "STORAGE_FULL"}, {ErrCorrupt, "CORRUPT"},
	{ErrRolledBack, "ROLLED_BACK"}, {ErrClosed, "CLOSED"}, {ErrReplaced, "REPLACED"}, {ErrUnavailable, "UNAVAILABLE"},
	{context.Canceled, "CANCELLED"}, {context.DeadlineExceeded, "DEADLINE"},
}

// errorName returns the class of an error as the audit has it.
func errorName(err error) string {
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return s.name
		}
	}
	return "UNKNOWN"
}

// wrap makes err a caller's error; a context's error stays bare.
func wrap(op Operation, key string, err error) error {
	if err == nil || err == context.Canceled || err == context.DeadlineExceeded {
		return err
	}
	var mine *Error
	if errors.As(err, &mine) {
		return err
	}
	e := &Error{Op: op, Key: key, Err: translate(err)}
	if errors.Is(e.Err, ErrThrottled) {
		e.RetryAfter = retryBase
	}
	return e
}

// invalid returns an ErrInvalid whose text says what is wrong.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}
