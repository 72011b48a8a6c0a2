package vault

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The errors that a caller can distinguish, as targets for errors.Is. Every error of this
// package is an [*Error] that wraps one of them, or the error of a context: unwrapped, or
// in an [*Error] if it came from a device. Compare the error of a context with errors.Is
// too.
var (
	// ErrNoVault: the directory or its root file does not exist.
	ErrNoVault = errors.New("no vault here")
	// ErrExists: the object to be created exists already.
	ErrExists = errors.New("already exists")
	// ErrInUse: this or another process has the vault open.
	ErrInUse = errors.New("vault is in use")
	// ErrUnlock: none of the given protectors opens the vault.
	ErrUnlock = errors.New("no given protector opens the vault")
	// ErrDenied: the principal may not do this.
	ErrDenied = errors.New("denied")
	// ErrNotFound: the CMK, alias, version or protector does not exist.
	ErrNotFound = errors.New("not found")
	// ErrKeyState: the CMK's state does not allow the operation.
	ErrKeyState = errors.New("key state does not allow this")
	// ErrUsage: the CMK has another usage than the operation needs.
	ErrUsage = errors.New("key is for another usage")
	// ErrInvalid: the request is wrong. The text says how.
	ErrInvalid = errors.New("invalid request")
	// ErrTooLarge: the input exceeds the limit.
	ErrTooLarge = errors.New("too large")
	// ErrUnsupported: the vault's edition or the key's driver does not support this.
	ErrUnsupported = errors.New("unsupported")
	// ErrCiphertext: the ciphertext cannot be decrypted. The vault returns this one error
	// for every fault of a ciphertext, and for an encryption context other than the one it
	// was made with.
	ErrCiphertext = errors.New("ciphertext does not open")
	// ErrThrottled: the device has reached its limit, the CMK changes faster than it can be
	// used, or the import token has as many imports in progress as attempts left. Try again
	// after RetryAfter.
	ErrThrottled = errors.New("throttled")
	// ErrUnavailable: the device does not work now, or the vault does not after a failure.
	ErrUnavailable = errors.New("unavailable")
	// ErrReplaced: the vault's directory, or a file in it, was moved, replaced or removed
	// while the vault was open. The vault acknowledges no further change and does not touch
	// the path again. ErrReplaced matches ErrUnavailable, and the text names the file. Close
	// the vault, restore the directory, and open the vault again.
	ErrReplaced = fmt.Errorf("%w: the vault's directory or a file in it was replaced", ErrUnavailable)
	// ErrAuditUnavailable: the audit record could not be made durable, and so the result was
	// not released.
	ErrAuditUnavailable = errors.New("audit log cannot be written")
	// ErrStorageFull: too little disk space is left for the operation; see Config.MinFree.
	ErrStorageFull = errors.New("storage is full")
	// ErrLockedMemory: no more memory can be locked. Raise RLIMIT_MEMLOCK.
	ErrLockedMemory = errors.New("locked memory is exhausted")
	// ErrSelfTest: a cryptographic primitive of this process computes wrong results, and so
	// the vault was not created or opened. Nothing was changed. The text names the
	// primitive. The fault is in the program's build, its Go release or the processor: use
	// another build, and check this one with the tests of internal/suite.
	ErrSelfTest = errors.New("the cryptographic self-test failed")
	// ErrCorrupt: stored bytes are not the bytes that the vault wrote.
	ErrCorrupt = errors.New("vault is damaged")
	// ErrRolledBack: the store is older than the state that the vault recorded elsewhere.
	ErrRolledBack = errors.New("vault was rolled back")
	// ErrNotExportable: the material lives in a device and never leaves it.
	ErrNotExportable = errors.New("material cannot leave its device")
	// ErrImport: the vault rejects the import token or the imported material. The text says
	// which; for a private key that unwrapped correctly it says what is wrong with it.
	// Nothing was changed, except that failed attempts are counted. ErrImportToken and
	// ErrOtherMaterial match ErrImport.
	ErrImport = errors.New("import is not accepted")
	// ErrImportToken: the import token expired, was replaced by a newer one, has no attempts
	// left, belongs to another CMK, or is not of this vault. Call ParametersForImport again.
	ErrImportToken error = &kindOf{ErrImport, "import token is not accepted"}
	// ErrOtherMaterial: the material is valid, but is not that of the CMK's first import.
	ErrOtherMaterial error = &kindOf{ErrImport, "import of other material is not accepted"}
	// ErrWrongDevice: the material or the protector's blob belongs to another device, or to
	// this one before it was cleared. A protector that is not bound to the device, such as a
	// recovery code, opens the vault.
	ErrWrongDevice = errors.New("this is not the device that it was made on")
	// ErrWrongVault: the directory holds another vault than the one that Config.VaultID or
	// Config.LogKey pins. Nothing was changed in it.
	ErrWrongVault = errors.New("this is not the vault that is pinned")
	// ErrKeyReplaced: the device has another key in the place of the CMK's key. The key's
	// check value or public key differs from the recorded one. The vault released no result
	// of that key. Either somebody with write access to the device replaced the key, or the
	// device lost it: restore the key from the device's own backup, or create another CMK.
	// Every such attempt is recorded as KEY_REPLACED.
	ErrKeyReplaced = errors.New("the device holds another key in the place of this one")
	// ErrClosed: the vault or the data key is closed, or Close has begun.
	ErrClosed = errors.New("closed")
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

// An Error describes the operation that failed, and the key it was for.
type Error struct {
	Op Operation
	// Key is the CMK's id, or the name that the caller gave. Empty if there is none.
	Key string
	// State is the CMK's state if that was the reason.
	State KeyState
	// RetryAfter is the time to wait before the next attempt after ErrThrottled. It is 0 for
	// every other error. An operation that failed with ErrUnavailable may succeed later too,
	// but the vault cannot say when.
	RetryAfter time.Duration
	Err        error
}

// Error returns the operation, key, cause and state as one line.
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

// sentinels lists the errors of this package with their names in the audit log.
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

// errorName returns the name of an error's class in the audit log.
func errorName(err error) string {
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return s.name
		}
	}
	return "UNKNOWN"
}

// wrap turns err into an *Error. It returns a context's error unwrapped.
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

// invalid returns an ErrInvalid with the given text.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}
