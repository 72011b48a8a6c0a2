package pkcs11

import (
	"errors"

	"strongroom.example/driver"
)

// fault makes a driver.Error. The cause holds no secret.
func fault(op string, class driver.Class, cause error) error {
	return &driver.Error{Op: op, Class: class, Err: cause}
}

var (
	errClosed    = errors.New("closed")
	errSpec      = errors.New("spec not offered")
	errAlgorithm = errors.New("algorithm not offered for this key")
	errLength    = errors.New("input of a wrong length")
	errBlob      = errors.New("keys of a token have no blob")
)
