package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/internal/ciphertext"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/selftest"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/backupfile"
	"strongroom.example/vault/internal/fault"
	"strongroom.example/vault/internal/inputtext"
	"strongroom.example/vault/internal/retry"
)

// The errors that a caller can distinguish, as targets for errors.Is. Every error of this
// package is an [*Error] that wraps one of them, or the error of a context. The error of a
// context is returned as it is, or in an [*Error] if it came from a device, so test it with
// errors.Is too.
var (
	// ErrNoVault: the directory or its root file does not exist.
	ErrNoVault = fault.ErrNoVault
	// ErrExists: the object to be created exists already.
	ErrExists = fault.ErrExists
	// ErrInUse: this or another process has the vault open.
	ErrInUse = fault.ErrInUse
	// ErrUnlock: none of the given protectors opens the vault.
	ErrUnlock = fault.ErrUnlock
	// ErrDenied: the principal may not do this.
	ErrDenied = fault.ErrDenied
	// ErrApproval: the principal may do this once other principals have approved it with
	// Client.Approve. ErrApproval matches ErrDenied.
	ErrApproval error = fault.ErrApproval
	// ErrNotFound: the CMK, alias, version, data key or protector does not exist.
	ErrNotFound = fault.ErrNotFound
	// ErrKeyState: the CMK's state does not allow the operation.
	ErrKeyState = fault.ErrKeyState
	// ErrKeyBound: resources are bound to the CMK, and so it cannot be disabled, archived or
	// deleted. ErrKeyBound matches ErrKeyState. The text names a resource; UnbindResource
	// removes it.
	ErrKeyBound error = fault.ErrKeyBound
	// ErrDataKeyState: the state of the named data key does not allow the operation, while that
	// of its CMK does. ErrDataKeyState matches ErrKeyState.
	ErrDataKeyState error = fault.ErrDataKeyState
	// ErrUsage: the CMK has another usage than the operation needs.
	ErrUsage = fault.ErrUsage
	// ErrInvalid: the request is wrong. The text says how.
	ErrInvalid = fault.ErrInvalid
	// ErrToken: a page or resume token was not made by this vault, or not for this principal,
	// list and filter. ErrToken matches ErrInvalid. Begin again without a token.
	ErrToken error = fault.ErrToken
	// ErrTooLarge: the input exceeds the limit.
	ErrTooLarge = fault.ErrTooLarge
	// ErrUnsupported: the vault's edition or the key's driver does not support this.
	ErrUnsupported = fault.ErrUnsupported
	// ErrCiphertext: the ciphertext cannot be decrypted. The vault returns this one error
	// for every fault of a ciphertext, and for an encryption context other than the one it
	// was made with.
	ErrCiphertext = fault.ErrCiphertext
	// ErrThrottled: Config.Limiter or the device has reached its limit, the CMK changes faster than it can be
	// used, or the import token has as many imports in progress as attempts left. Try again
	// after RetryAfter.
	ErrThrottled = fault.ErrThrottled
	// ErrUnavailable: the device does not work now, or the vault does not after a failure.
	ErrUnavailable = fault.ErrUnavailable
	// ErrReplaced: the vault's directory, or a file in it, was moved, replaced or removed
	// while the vault was open. The vault acknowledges no further change and does not touch
	// the path again. ErrReplaced matches ErrUnavailable, and the text names the file. Close
	// the vault, restore the directory, and open the vault again.
	ErrReplaced = fault.ErrReplaced
	// ErrAuditUnavailable: the audit record could not be made durable, and so the result was
	// not released.
	ErrAuditUnavailable = fault.ErrAuditUnavailable
	// ErrStorageFull: too little disk space is left for the operation; see Config.MinFree.
	ErrStorageFull = fault.ErrStorageFull
	// ErrLockedMemory: no more memory can be locked. Raise RLIMIT_MEMLOCK.
	ErrLockedMemory = fault.ErrLockedMemory
	// ErrSelfTest: a cryptographic primitive of this process computes wrong results, and so
	// the vault was not created or opened. Nothing was changed. The text names the
	// primitive. The fault is in the program's build, its Go release or the processor: use
	// another build, and check this one with the tests of internal/suite.
	ErrSelfTest = fault.ErrSelfTest
	// ErrCorrupt: stored bytes are not the bytes that the vault wrote.
	ErrCorrupt = fault.ErrCorrupt
	// ErrRolledBack: the store is older than the state that the vault recorded elsewhere.
	ErrRolledBack = fault.ErrRolledBack
	// ErrNotExportable: the material lives in a device and never leaves it.
	ErrNotExportable = fault.ErrNotExportable
	// ErrImport: the vault rejects the import token or the imported material. The text says
	// which; for a private key that unwrapped correctly it names the fault of the key. Nothing
	// was changed, except that failed attempts are counted. ErrImportToken and ErrOtherMaterial
	// match ErrImport.
	ErrImport = fault.ErrImport
	// ErrImportToken: the import token expired, was replaced by a newer one, has no attempts
	// left, belongs to another CMK, or is not of this vault. Call ParametersForImport again.
	ErrImportToken error = fault.ErrImportToken
	// ErrOtherMaterial: the material is valid, but is not that of the CMK's first import.
	ErrOtherMaterial error = fault.ErrOtherMaterial
	// ErrWrongDevice: the material or the protector's blob belongs to another device, or to
	// this one before it was cleared. A protector that is not bound to the device, such as a
	// recovery code, opens the vault. Of material to be destroyed: the vault destroys it when
	// it is opened with that device.
	ErrWrongDevice = fault.ErrWrongDevice
	// ErrWrongVault: the directory holds another vault than the one that Config.VaultID or
	// Config.LogKey pins. Nothing was changed in it.
	ErrWrongVault = fault.ErrWrongVault
	// ErrKeyReplaced: the device has another key in the place of the CMK's key. The key's
	// check value or public key differs from the recorded one. The vault released no result
	// of that key. Either somebody with write access to the device replaced the key, or the
	// device lost it: restore the key from the device's own backup, or create another CMK.
	// Every such attempt is recorded as KEY_REPLACED.
	ErrKeyReplaced = fault.ErrKeyReplaced
	// ErrAuditCut: the audit records that this needs were removed by CutAudit. The text names
	// the first record that is kept. Use the export that was made before the cut.
	ErrAuditCut = fault.ErrAuditCut
	// ErrAuditLost: the audit records that this needs were lost before a Repair. The text
	// names them. An export from before the damage may have them.
	ErrAuditLost = fault.ErrAuditLost
	// ErrRotatedRecently: the CMK was rotated less than Config.MinRotateInterval ago. The text
	// has the time from which it can be rotated.
	ErrRotatedRecently = fault.ErrRotatedRecently
	// ErrMinimumVersion: the ciphertext is of a version below the minimum of the CMK; see
	// SetMinimumVersion.
	ErrMinimumVersion = fault.ErrMinimumVersion
	// ErrVersionUsed: it is not certain that nothing was encrypted under the version, so that
	// TrimKeyVersion does not destroy it.
	ErrVersionUsed = fault.ErrVersionUsed
	// ErrClosed: the vault or the data key is closed, or Close has begun.
	ErrClosed = fault.ErrClosed
)

// An Error describes the operation that failed, and the key it was for.
type Error struct {
	Op Operation
	// Key is the CMK's id, or the name that the caller gave. Empty if there is none.
	Key string
	// DataKey is the id or name of the named data key that the operation was on, as the caller
	// gave it.
	DataKey string
	// State is the state of the CMK or of the named data key if that was the reason.
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
		s += " " + inputtext.Quote(e.Key)
	}
	if e.DataKey != "" {
		s += " data key " + inputtext.Quote(e.DataKey)
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
	{ErrRotatedRecently, "ROTATED_RECENTLY"}, {ErrMinimumVersion, "MINIMUM_VERSION"}, {ErrVersionUsed, "VERSION_USED"},
	{ErrKeyReplaced, "KEY_REPLACED"}, {ErrWrongDevice, "WRONG_DEVICE"}, {ErrWrongVault, "WRONG_VAULT"}, {ErrNoVault, "NO_VAULT"}, {ErrExists, "EXISTS"}, {ErrInUse, "IN_USE"}, {ErrUnlock, "UNLOCK"},
	{ErrApproval, "APPROVAL"}, {ErrDenied, "DENIED"}, {ErrNotFound, "NOT_FOUND"}, {ErrKeyBound, "KEY_BOUND"}, {ErrDataKeyState, "DATA_KEY_STATE"}, {ErrKeyState, "KEY_STATE"}, {ErrUsage, "USAGE"},
	{ErrImport, "IMPORT"}, {ErrNotExportable, "NOT_EXPORTABLE"}, {ErrInvalid, "INVALID"}, {ErrTooLarge, "TOO_LARGE"}, {ErrUnsupported, "UNSUPPORTED"},
	{ErrCiphertext, "CIPHERTEXT"}, {ErrThrottled, "THROTTLED"}, {ErrLockedMemory, "LOCKED_MEMORY"}, {ErrSelfTest, "SELF_TEST"},
	{ErrAuditUnavailable, "AUDIT_UNAVAILABLE"}, {ErrStorageFull, "STORAGE_FULL"}, {ErrCorrupt, "CORRUPT"},
	{ErrRolledBack, "ROLLED_BACK"}, {ErrAuditCut, "AUDIT_CUT"}, {ErrAuditLost, "AUDIT_LOST"}, {ErrClosed, "CLOSED"}, {ErrReplaced, "REPLACED"}, {ErrUnavailable, "UNAVAILABLE"},
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
		e.RetryAfter = retry.Base
	}
	return e
}

// invalid returns an ErrInvalid with the given text.
func invalid(format string, args ...any) error { return fault.Invalid(format, args...) }

// translation maps an error of another package to the sentinel of this one.
type translation struct{ from, to error }

// translations is in the order of precedence.
var translations = []translation{
	{selftest.ErrFailed, ErrSelfTest},
	{lockedmem.ErrExhausted, ErrLockedMemory},
	{lockedmem.ErrClosed, ErrClosed},
	{keystore.ErrReplaced, ErrReplaced},
	{keystore.ErrNoStore, ErrNoVault},
	{keystore.ErrExists, ErrExists},
	{keystore.ErrInUse, ErrInUse},
	{keystore.ErrUnlock, ErrUnlock},
	{keystore.ErrRolledBack, ErrRolledBack},
	{keystore.ErrCorrupt, ErrCorrupt},
	{keystore.ErrFull, ErrStorageFull},
	{keystore.ErrDirectory, ErrUnavailable},
	{keystore.ErrTooLarge, ErrTooLarge},
	{keystore.ErrNotFound, ErrNotFound},
	{keystore.ErrCut, ErrAuditCut},
	{keystore.ErrLost, ErrAuditLost},
	{audit.ErrRange, ErrInvalid},
	{keystore.ErrClosed, ErrClosed},
	{keystore.ErrUnavailable, ErrAuditUnavailable},
	{keystore.ErrConflict, ErrAuditUnavailable},
	{ciphertext.ErrTooLarge, ErrTooLarge},
	{ciphertext.ErrContext, ErrInvalid},
	{ciphertext.ErrFormat, ErrCiphertext},
	{ciphertext.ErrOpen, ErrCiphertext},
	{backupfile.ErrFormat, ErrCorrupt},
	{backupfile.ErrTooLarge, ErrTooLarge},
	{driver.ErrWrongDevice, ErrWrongDevice},
	{driver.Invalid, ErrInvalid},
	{driver.Unsupported, ErrUnsupported},
	{driver.NotFound, ErrUnavailable},
	{driver.Denied, ErrUnavailable},
	{driver.Authentic, ErrCorrupt},
	{driver.Throttled, ErrThrottled},
	{driver.Unavailable, ErrUnavailable},
	{driver.Unknown, ErrUnavailable},
}

// translate wraps err in a sentinel of this package, if it has none yet.
func translate(err error) error { return translateOr(err, ErrUnavailable) }

// translateOr is translate with the sentinel for an unknown error.
func translateOr(err, other error) error {
	if err == nil || errorName(err) != "UNKNOWN" {
		return err
	}
	for _, t := range translations {
		if errors.Is(err, t.from) {
			return fmt.Errorf("%w: %w", t.to, err)
		}
	}
	return fmt.Errorf("%w: %w", other, err)
}

// A RetryClass says whether and when a failed call may be made again.
type RetryClass int

// The classes.
const (
	// RetryNever: another attempt would fail too, or might do something twice.
	RetryNever RetryClass = iota
	// RetryAtOnce: the connection to the device broke, and the device did nothing. The first
	// further attempt needs no delay.
	RetryAtOnce
	// RetryDelayed: the device is busy, or a limit is reached.
	RetryDelayed
)

// RetryClassOf returns the class of an error of this package. A denial is never retried.
func RetryClassOf(err error) RetryClass {
	switch retryVerdict(err) {
	case retry.Away:
		return RetryAtOnce
	case retry.Temporary:
		return RetryDelayed
	}
	return RetryNever
}

// A RetryPolicy says how Do repeats a call. The zero value is the policy of Retry.
type RetryPolicy struct {
	// InitialDelay is the upper bound of the first delay; it doubles with each further
	// attempt. 0 means 100 ms.
	InitialDelay time.Duration
	// MaxDelay is the upper bound of every delay. 0 means 10 s.
	MaxDelay time.Duration
	// Attempts is the maximum number of attempts, including the first. 0 means 6.
	Attempts int
	// Budget limits the further attempts of all calls that share it. nil means no limit.
	Budget *RetryBudget
}

// A RetryBudget limits the number of further attempts that calls make together, so that
// retries do not multiply the load on a device that is busy. It is safe for concurrent use.
type RetryBudget struct{ budget *retry.Budget }

// NewRetryBudget returns a budget of further attempts: burst at the beginning, and ratio more
// for each call, but never more than burst at once. A ratio of 0.1 means one further attempt
// for ten calls.
func NewRetryBudget(ratio float64, burst int) *RetryBudget {
	return &RetryBudget{retry.NewBudget(ratio, burst)}
}

// Do calls f again while f fails with an error that RetryClassOf does not call RetryNever. It
// waits between attempts with full jitter: a random time up to the bound. After an error of
// class RetryAtOnce the second attempt is made without a delay. If a Limiter refused the
// operation, Do waits for Error.RetryAfter in addition. Do never waits beyond the end of ctx,
// and returns the last error of f.
func (p RetryPolicy) Do(ctx context.Context, f func(context.Context) error) error {
	q := retry.Policy{Base: p.InitialDelay, MaxDelay: p.MaxDelay, Attempts: p.Attempts, Judge: retryVerdict, After: limitedFor, AtOnce: true}
	if p.Budget != nil {
		q.Budget = p.Budget.budget
	}
	return q.Do(ctx, f)
}

// Retry calls f again while f fails with an error that may be temporary, by the zero
// RetryPolicy. The operations of Client retry calls of a device themselves. If the device is
// away, an operation that uses a key retries for half a second.
func Retry(ctx context.Context, f func(context.Context) error) error {
	return RetryPolicy{}.Do(ctx, f)
}

// limitedFor returns the wait that a Limiter demands, or 0 for another error.
func limitedFor(err error) time.Duration {
	var e *Error
	if errors.Is(err, errLimit) && errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// retryVerdict reports whether another attempt may succeed after err. The class of a
// driver's error takes precedence over the vault's sentinel, and a denial over both: an
// Authorizer may fail with any error.
func retryVerdict(err error) retry.Verdict {
	retryable := errors.Is(err, ErrThrottled)
	var d *driver.Error
	if errors.As(err, &d) {
		retryable = d.Class.Retryable()
	}
	switch {
	case !retryable || errors.Is(err, ErrDenied):
		return retry.Final
	case errors.Is(err, driver.Unavailable):
		return retry.Away
	}
	return retry.Temporary
}
