// Package vault is the public interface of Strongroom, an embedded key vault.
//
// Create makes a vault in a directory, Open opens it, and Vault.As returns the Client
// through which one principal acts. The material of a CMK (customer master key) never
// leaves the vault in plaintext. A program encrypts small data with a CMK directly, and
// large data under data keys.
//
// An operation that takes a key takes the CMK's id or its alias.
//
// The vault releases no result of an operation before its audit record is durable, and uses
// no stored byte before it is authenticated.
//
// # Core dumps
//
// A program that links this package writes no core dumps on Unix. The reason is memguard,
// which holds data keys at rest: it sets the soft and the hard RLIMIT_CORE to 0 before main
// runs, for the process and the processes that it starts. Only a process with
// CAP_SYS_RESOURCE can raise the limit again.
//
// # Errors
//
// Every error is an *Error that wraps one of the sentinels, or the error of a context.
// Compare with errors.Is.
//
// The comment of a method lists the errors that are specific to it. Every operation of a
// Client can also return:
//
//   - ErrDenied: the principal may not do this. A denied principal gets this error for a
//     key that does not exist, too.
//   - ErrNotFound: the key does not exist, and the principal is allowed the operation.
//   - ErrKeyState, ErrUsage: the key's state or usage does not allow the operation.
//   - ErrThrottled, ErrUnavailable: the device cannot do the operation now.
//   - ErrAuditUnavailable, ErrStorageFull: the disk cannot take the audit record or the
//     change.
//   - ErrLockedMemory: no more memory can be locked.
//   - ErrCorrupt: stored data is damaged.
//   - ErrClosed: the vault is closed, or Close has begun.
//
// Create and Open first test the cryptography of the edition against known answers, and
// fail with ErrSelfTest if this build computes wrong results.
//
// After an error the result is not valid, and the key is unchanged unless the comment of
// the method says otherwise.
package vault
