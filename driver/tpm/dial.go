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

// dialTimeout bounds how long connecting to a socket may take.
const dialTimeout = 2 * time.Second

// absoluteDevice returns device with an absolute path, because the driver connects again
// whenever the connection is lost, also after a change of the working directory. It does
// not change the path of a socket whose absolute path is too long for the system.
func absoluteDevice(device string) string {
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

// connect opens the transport. Its errors are one line that names what was tried and a
// remedy.
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

// explain adds the remedy to an error of openDevice.
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

// place returns where connect looked for the TPM, for an error message.
func (c Config) place() string {
	switch {
	case c.Dial != nil:
		return "the transport of Config.Dial"
	case c.Device != "":
		return c.Device
	}
	return "this machine's device"
}

// silence returns the remedy for an address that can be opened but behaves like no TPM.
func silence(err error) string {
	switch {
	case errors.Is(err, errHangs):
		return "; another client may hold it, since a software TPM serves one at a time; else restart it"
	case errors.Is(err, io.EOF):
		return "; what is there hung up without an answer, as no TPM does: look at the path or port"
	}
	return ""
}
