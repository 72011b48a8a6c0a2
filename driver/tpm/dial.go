package tpm

import (
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

// dialTimeout bounds how long a socket may take to answer.
const dialTimeout = 2 * time.Second

// absoluteDevice returns a device with an absolute path: it is connected to again
// whenever the connection is lost, also after a change of the working directory. A
// socket whose absolute path is too long for the system stays as it is.
func absoluteDevice(device string) string {
	const longest = 103 // of the systems in use
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

// connect opens the transport. Errors are one line that says what was tried and what
// to do.
func (c Config) connect() (transport.TPMCloser, error) {
	if c.Dial != nil {
		return c.Dial()
	}
	for _, network := range []string{"unix", "tcp"} {
		if address, ok := strings.CutPrefix(c.Device, network+":"); ok {
			conn, err := net.DialTimeout(network, address, dialTimeout)
			if errors.Is(err, fs.ErrPermission) {
				return nil, fmt.Errorf("%w; the user of this program may not use the socket: run it as the user of the software TPM, or give its group the socket (chgrp, chmod 660)", err)
			}
			if err != nil {
				return nil, fmt.Errorf("%w; is the software TPM running, and free of other clients?", err)
			}
			return &stream{Conn: conn}, nil
		}
	}
	if c.Device != "" {
		conn, err := openDevice(c.Device)
		return conn, explain(err)
	}
	conn, err := openDevice("/dev/tpmrm0")
	if errors.Is(err, fs.ErrNotExist) {
		conn, err = openDevice("/dev/tpm0")
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("this machine has no TPM: there is neither /dev/tpmrm0 nor /dev/tpm0; switch it on in the firmware setup (fTPM, PTT or Security Device)")
		}
	}
	return conn, explain(err)
}

// explain adds what to do.
func explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; add the user of this program to the group tss (usermod -aG tss USER), and start it anew", err)
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%w; another program has it: use /dev/tpmrm0, which several can share", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; leave the device empty to use this machine's TPM", err)
	}
	return err
}

// place says where the TPM was looked for.
func (c Config) place() string {
	switch {
	case c.Dial != nil:
		return "the transport of Config.Dial"
	case c.Device != "":
		return c.Device
	}
	return "this machine's device"
}

// silence is what to do about something that can be opened and is no help.
func silence(err error) string {
	switch {
	case errors.Is(err, errHangs):
		return "; another client may hold it, since a software TPM serves one at a time; else restart it"
	case errors.Is(err, io.EOF):
		return "; what is there hung up without an answer, as no TPM does: look at the path or port"
	}
	return ""
}
