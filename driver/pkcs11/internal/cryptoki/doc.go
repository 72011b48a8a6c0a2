// Package cryptoki calls a PKCS #11 module. Calls that carry secrets go through a cgo shim
// of its own, all others through miekg/pkcs11 with the same function list. The package
// has the encoding of attributes and the meaning of return values.
//
// Without cgo it has only Fault.
package cryptoki

import "strongroom.example/driver"

// Fault returns a driver.Error. cause must not contain secrets.
func Fault(op string, class driver.Class, cause error) error {
	return &driver.Error{Op: op, Class: class, Err: cause}
}
