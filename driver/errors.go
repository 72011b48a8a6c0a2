package driver

import (
	"errors"
	"fmt"
)

// ErrWrongDevice is the cause, beside its class, of an error that says that a blob
// belongs to another device, or to this one before it was cleared: NotFound for key
// material, Denied for a root. Another try does not help; another protector does.
var ErrWrongDevice = errors.New("it belongs to another device, or to this one before it was cleared")

// A Class says what kind of failure an error is, and so whether to try again. It
// is itself a target for errors.Is: errors.Is(err, driver.Throttled).
type Class uint8

// The classes. If the device may have acted, the class is Unknown, unless the call
// is repeatable.
const (
	// Unknown: not classified, or the device may have acted. Never retried.
	Unknown Class = iota
	// Invalid: the request is wrong.
	Invalid
	// Unsupported: this device never can.
	Unsupported
	// NotFound: no such material. It is no proof that a key is gone: the device may
	// be another, or not logged in.
	NotFound
	// Denied: PIN, passphrase or authorization. Never retried, since devices count.
	Denied
	// Authentic: it did not verify, decrypt or unwrap.
	Authentic
	// Throttled: busy or at a limit, and nothing was done. Retried after a pause.
	Throttled
	// Unavailable: the device or session is gone, and nothing was done. Retried.
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

// An Error is a driver's failure.
type Error struct {
	// Op is what failed, in the device's own words: "C_Sign", "TPM2_Load".
	Op string
	// Class decides what is done about it.
	Class Class
	// Code is the device's own code, 0 if there is none. The class is mapped from
	// operation and code together: the same code means different things.
	Code uint64
	// Err is the cause. It never holds a secret.
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
