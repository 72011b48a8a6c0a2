package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-tpm/tpm2/transport"
)

// dialTimeout bounds how long connecting to a socket may take.
const dialTimeout = 2 * time.Second

// An Address selects a TPM.
type Address struct {
	device string
	dial   func() (transport.TPMCloser, error)
}

// NewAddress returns the address of a device: empty for the TPM of this machine, the path
// of a device file, "unix:PATH" or "tcp:HOST:PORT". If dial is not nil, it connects
// instead. NewAddress resolves a relative path, because the driver connects again
// whenever the connection is lost, also after a change of the working directory.
func NewAddress(device string, dial func() (transport.TPMCloser, error)) Address {
	return Address{absolute(device), dial}
}

// absolute returns device with an absolute path. It does not change the path of a socket
// whose absolute path is too long for the system.
func absolute(device string) string {
	const longest = 103 // the shortest limit among the supported systems
	path, socket := strings.CutPrefix(device, "unix:")
	if path == "" || strings.HasPrefix(device, "tcp:") || socket && path[0] == '@' {
		return device
	}
	absolute, err := filepath.Abs(path)
	switch {
	case err != nil || socket && len(absolute) > longest:
		return device
	case socket:
		return "unix:" + absolute
	}
	return absolute
}

// Connect opens the transport. ctx ends the connecting to a socket. Its errors are one
// line that names what was tried and a remedy.
func (a Address) Connect(ctx context.Context) (transport.TPMCloser, error) {
	if a.dial != nil {
		return a.dial()
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	for _, network := range []string{"unix", "tcp"} {
		if address, ok := strings.CutPrefix(a.device, network+":"); ok {
			conn, err := dialer.DialContext(ctx, network, address)
			if errors.Is(err, fs.ErrPermission) {
				return nil, fmt.Errorf("%w; the user of this program may not use the socket: run it as the user of the software TPM, or give its group the socket (chgrp, chmod 660)", err)
			}
			if err != nil {
				return nil, fmt.Errorf("%w; is the software TPM running, and free of other clients?", err)
			}
			return &stream{Conn: conn}, nil
		}
	}
	if a.device != "" {
		conn, err := openDevice(a.device)
		return conn, withRemedy(err)
	}
	conn, err := openDevice("/dev/tpmrm0")
	if errors.Is(err, fs.ErrNotExist) {
		conn, err = openDevice("/dev/tpm0")
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("this machine has no TPM: there is neither /dev/tpmrm0 nor /dev/tpm0; switch it on in the firmware setup (fTPM, PTT or Security Device)")
		}
	}
	return conn, withRemedy(err)
}

// withRemedy adds the remedy to an error of openDevice.
func withRemedy(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; add the user of this program to the group tss (usermod -aG tss USER), and restart it", err)
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%w; another program has it: use /dev/tpmrm0, which several can share", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; leave the device empty to use this machine's TPM", err)
	}
	return err
}

// String returns where Connect looks for the TPM, for an error message.
func (a Address) String() string {
	switch {
	case a.dial != nil:
		return "the transport of Config.Dial"
	case a.device != "":
		return a.device
	}
	return "this machine's device"
}

// TimeoutHint returns the remedy for an address that can be opened but behaves like no TPM.
func TimeoutHint(err error) string {
	switch {
	case errors.Is(err, ErrHung):
		return "; another client may hold it, since a software TPM serves one at a time; else restart it"
	case errors.Is(err, io.EOF):
		return "; what is there hung up without an answer, as no TPM does: look at the path or port"
	}
	return ""
}

// Private reports whether the TPM serves this program only, and is not behind the kernel.
func (a Address) Private() bool {
	return a.dial != nil || strings.HasPrefix(a.device, "unix:") || strings.HasPrefix(a.device, "tcp:")
}

// unmanaged reports whether a connection is to a device without a resource manager, such
// as /dev/tpm0.
func unmanaged(conn transport.TPMCloser) bool {
	named, ok := conn.(interface{ Name() string })
	if !ok {
		return false
	}
	number, ok := strings.CutPrefix(filepath.Base(named.Name()), "tpm")
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}
