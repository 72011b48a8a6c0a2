package pkcs11

import "strongroom.example/driver"

// fault returns a driver.Error. cause must not contain secrets.
func fault(op string, class driver.Class, cause error) error {
	return &driver.Error{Op: op, Class: class, Err: cause}
}
