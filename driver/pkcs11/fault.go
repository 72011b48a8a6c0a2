package pkcs11

import "strongroom.example/driver"

// fault makes a driver.Error. The cause holds no secret.
func fault(op string, class driver.Class, cause error) error {
	return &driver.Error{Op: op, Class: class, Err: cause}
}
