//go:build !unix

package tpm

import (
	"errors"

	"github.com/google/go-tpm/tpm2/transport"
)

// openDevice refuses: only software TPMs on sockets can be reached here.
func openDevice(string) (transport.TPMCloser, error) {
	return nil, errors.ErrUnsupported
}
