//go:build cgo && unix

package pkcs11

import (
	"errors"
	"fmt"

	p11 "github.com/miekg/pkcs11"
)

// A codeError is a return value of the module other than CKR_OK.
type codeError struct {
	call string
	code uint
}

func (e *codeError) Error() string { return fmt.Sprintf("%s: %s", e.call, p11.Error(e.code)) }

// code returns the error for a return value, nil for CKR_OK.
func code(call string, rv uint) error {
	if rv == p11.CKR_OK {
		return nil
	}
	return &codeError{call, rv}
}

// from converts an error that miekg/pkcs11 returned from a call.
func from(call string, err error) error {
	if rv, ok := errors.AsType[p11.Error](err); ok {
		return &codeError{call, uint(rv)}
	}
	return err
}

// codeOf returns the return value in an error, or CKR_OK if there is none.
func codeOf(err error) uint {
	if e, ok := errors.AsType[*codeError](err); ok {
		return e.code
	}
	return p11.CKR_OK
}
