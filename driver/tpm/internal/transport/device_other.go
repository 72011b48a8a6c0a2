//go:build !unix

package transport

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2/transport"
)

// openDevice fails: on this system the driver reaches only software TPMs on sockets.
func openDevice(path string) (transport.TPMCloser, error) {
	return nil, fmt.Errorf("%s: this system's TPM is out of this program's reach, only one behind a socket is not: %w", path, errors.ErrUnsupported)
}
