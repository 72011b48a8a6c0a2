//go:build cgo && unix

package pkcs11

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"strongroom.example/internal/suite"
)

const maxPIN = 256

var (
	errNoPIN    = errors.New("the PIN is empty")
	errLongPIN  = fmt.Errorf("the PIN is longer than %d bytes", maxPIN)
	errPINFile  = errors.New("the PIN file is open to group or others: chmod 600 it")
	errPINPlain = errors.New("the PIN file is no regular file")

	errDescriptor = errors.New("the PIN's descriptor is not open")
)

// read returns the PIN, which the caller wipes. A newline at its end is not part of
// it. It is never empty without an error.
func (p PIN) read(ctx context.Context) ([]byte, error) {
	pin, err := p.fetch(ctx)
	if err == nil && len(pin) > maxPIN {
		err = errLongPIN
	}
	trimmed := bytes.TrimSuffix(bytes.TrimSuffix(pin, []byte("\n")), []byte("\r"))
	if err == nil && len(trimmed) == 0 {
		err = errNoPIN
	}
	if err != nil {
		suite.Wipe(pin)
		return nil, err
	}
	return trimmed, nil
}

func (p PIN) fetch(ctx context.Context) ([]byte, error) {
	switch {
	case p.File != "":
		return readFile(p.File, 0o077)
	case p.FD != 0:
		return readDescriptor(p.FD)
	case p.Env != "":
		return []byte(os.Getenv(p.Env)), nil
	case p.Credential != "":
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return nil, errors.New("CREDENTIALS_DIRECTORY is not set: the service has no credentials")
		}
		// systemd gives group a bit, so that its list of access can name the service's user.
		return readFile(filepath.Join(dir, p.Credential), 0o007)
	}
	return p.Ask(ctx)
}

// readFile reads a file that has none of the forbidden permissions. It is looked at
// after it is // open, so that it cannot be exchanged in between. Opening a pipe does not wait for
// its other end.
func readFile(path string, forbidden os.FileMode) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errPINPlain
	}
	if info.Mode().Perm()&forbidden != 0 {
		return nil, errPINFile
	}
	return readAll(f)
}

// readDescriptor reads what is left behind a descriptor, which stays open: its number
// would be another file's next, and the next Open would take that for a PIN.
func readDescriptor(fd int) ([]byte, error) {
	twin, err := syscall.Dup(fd)
	if err != nil {
		return nil, errDescriptor
	}
	syscall.CloseOnExec(twin)
	f := os.NewFile(uintptr(twin), "PIN")
	defer f.Close()
	return readAll(f)
}

// readAll reads at most a byte more than a PIN has, into one array that can be wiped.
func readAll(r io.Reader) ([]byte, error) {
	buffer := make([]byte, maxPIN+3)
	n, err := io.ReadFull(r, buffer)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		suite.Wipe(buffer)
		return nil, err
	}
	return buffer[:n], nil
}
