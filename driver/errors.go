package driver

import (
	"errors"
	"fmt"
)

// ErrWrongDevice is a cause that accompanies the class of an error. It reports that a
// blob belongs to another device, or to this device before it was cleared. The class is
// NotFound for key material and Denied for the root of a vault. A retry does not help;
// the root needs another protector.
var ErrWrongDevice = errors.New("it belongs to another device, or to this one before it was cleared")

// A Class is the kind of a failure. It determines whether a retry can succeed. It is itself
// a target for errors.Is: errors.Is(err, driver.Throttled).
type Class uint8

// The classes. If the device may have acted, the class is Unknown, unless the call is
// repeatable (see the package documentation).
const (
	// Unknown: the failure is not classified, or the device may have acted. It is never
	// retried.
	Unknown Class = iota
	// Invalid: the request is wrong.
	Invalid
	// Unsupported: this device cannot do it, now or later.
	Unsupported
	// NotFound: the device has no such material. It does not prove that the key was
	// destroyed: the device may be another one, or not logged in.
	NotFound
	// Denied: the PIN, the passphrase or the authorization is wrong or missing. It is
	// never retried, because devices count failed attempts and lock.
	Denied
	// Authentic: a signature, ciphertext, blob or wrapped key did not verify, decrypt or
	// unwrap.
	Authentic
	// Throttled: the device is busy or at a limit, and has done nothing. It is retried
	// after a pause.
	Throttled
	// Unavailable: the device or the session is gone, and has done nothing. It is
	// retried.
	Unavailable
)

// Retryable reports whether the same call may be made again after a pause.
func (c Class) Retryable() bool { return c == Throttled || c == Unavailable }

// Error returns the name of the class, which makes it a target for errors.Is.
func (c Class) Error() string { return c.String() }

// String returns the name of the class.
func (c Class) String() string {
	names := [...]string{"unknown failure", "invalid request", "unsupported", "not found",
		"denied", "not authentic", "throttled", "unavailable"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// An Error is the failure of a driver's method.
type Error struct {
	// Op is the operation that failed, in the device's terms: "C_Sign", "TPM2_Load".
	Op string
	// Class determines how the vault handles the error.
	Class Class
	// Code is the device's own code, 0 if there is none. The driver derives the class
	// from operation and code together, because one code means different things in
	// different operations.
	Code uint64
	// Err is the cause, or nil. It never holds a secret.
	Err error
}

// Error returns operation, class, code and cause.
func (e *Error) Error() string {
	s := e.Op + ": " + e.Class.String()
	if e.Code != 0 {
		s += fmt.Sprintf(" (code 0x%X)", e.Code)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Is reports whether target is the error's class.
func (e *Error) Is(target error) bool { return target == e.Class }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
