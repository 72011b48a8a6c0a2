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
	"slices"
	"syscall"

	"strongroom.example/internal/suite"
)

const maxPIN = 256

var (
	errNoPIN    = errors.New("the PIN is empty")
	errLongPIN  = fmt.Errorf("the PIN is longer than %d bytes", maxPIN)
	errPINFile  = errors.New("the PIN file is open to group or others: chmod 600 it")
	errPINGroup = errors.New("the PIN file is open to its group, which this process is not in, or which may write it, or its owner is another user: chmod 600 it, or give it a group of the process and mode 440")
	errPINMark  = errors.New("the PIN file begins with a byte order mark: write it without")
	errPINSpace = errors.New("the PIN file has white space around the PIN: write the PIN and at most one newline")
	errPINPlain = errors.New("the PIN file is no regular file")

	errDescriptor = errors.New("the PIN's descriptor is not open")
)

// read returns the PIN without the newline at its end. The caller wipes it. It is not
// empty unless there is an error.
func (p PIN) read(ctx context.Context) ([]byte, error) {
	pin, err := p.fetch(ctx)
	if err == nil && len(pin) > maxPIN {
		err = errLongPIN
	}
	trimmed := bytes.TrimSuffix(bytes.TrimSuffix(pin, []byte("\n")), []byte("\r"))
	switch {
	case err != nil:
	case len(trimmed) == 0:
		err = errNoPIN
	case p.Env == "" && p.Ask == nil:
		err = checkText(trimmed)
	}
	if err != nil {
		suite.Wipe(pin)
		return nil, err
	}
	return trimmed, nil
}

// checkText refuses characters that an editor or a shell adds to a PIN in a file, because
// the token would count them as a wrong PIN.
func checkText(pin []byte) error {
	for _, mark := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(pin, []byte(mark)) {
			return errPINMark
		}
	}
	if len(bytes.TrimSpace(pin)) != len(pin) {
		return errPINSpace
	}
	return nil
}

func (p PIN) fetch(ctx context.Context) ([]byte, error) {
	switch {
	case p.File != "":
		return readFile(p.File, ownGroupOnly)
	case p.FD != 0:
		return readDescriptor(p.FD)
	case p.Env != "":
		return []byte(os.Getenv(p.Env)), nil
	case p.Credential != "":
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return nil, errors.New("CREDENTIALS_DIRECTORY is not set: the service has no credentials")
		}
		// systemd sets a group bit, so that its access control list can name the
		// service's user.
		return readFile(filepath.Join(dir, p.Credential), func(info os.FileInfo) error {
			if info.Mode().Perm()&0o007 != 0 {
				return errPINFile
			}
			return nil
		})
	}
	return p.Ask(ctx)
}

// ownGroupOnly checks the permissions that PIN.File requires.
func ownGroupOnly(info os.FileInfo) error {
	switch perm := info.Mode().Perm(); {
	case perm&0o007 != 0:
		return errPINFile
	case perm&0o070 == 0:
		return nil
	case perm&0o030 != 0:
		return errPINGroup
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
		return errPINGroup
	}
	groups, err := os.Getgroups()
	if err != nil || int(owner.Gid) != os.Getegid() && !slices.Contains(groups, int(owner.Gid)) {
		return errPINGroup
	}
	return nil
}

// readFile reads a file that has the required permissions. It checks them on the open
// file, so that the file cannot be replaced in between. Opening a pipe does not wait for
// its other end.
func readFile(path string, allowed func(os.FileInfo) error) ([]byte, error) {
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
	if err := allowed(info); err != nil {
		return nil, err
	}
	return readAll(f)
}

// readDescriptor reads the rest of a descriptor and leaves it open: if it were closed,
// its number would be reused for another file, and the next Open would read that as a
// PIN.
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

// readAll reads at most one byte more than the longest PIN with its newline, into one
// array that can be wiped.
func readAll(r io.Reader) ([]byte, error) {
	buffer := make([]byte, maxPIN+3)
	n, err := io.ReadFull(r, buffer)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		suite.Wipe(buffer)
		return nil, err
	}
	return buffer[:n], nil
}
