//go:build unix

package transport

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/google/go-tpm/tpm2/transport"
)

// A file sends commands through the kernel's TPM driver, which limits how long each may
// take. It is opened for blocking I/O, because in non-blocking mode a read can precede
// the response and looks like the end of the file. Only the kernel can therefore
// interrupt a call.
type file struct {
	*os.File
	buf [4096]byte
}

// openDevice opens a TPM's device file.
func openDevice(path string) (transport.TPMCloser, error) {
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	if info, err := f.Stat(); err != nil || info.Mode()&fs.ModeDevice == 0 {
		f.Close()
		return nil, fmt.Errorf("%s is not a device; write \"unix:%s\" if it is a socket", path, path)
	}
	return &file{File: f}, nil
}

// Send writes a command and reads its response.
func (f *file) Send(command []byte) ([]byte, error) {
	if err := f.Post(command); err != nil {
		return nil, err
	}
	return f.Fetch()
}

// Post writes a command. The kernel may execute the command before Post returns.
func (f *file) Post(command []byte) error {
	_, err := f.Write(command)
	return err
}

// Fetch reads the response, which is valid until the next Fetch.
func (f *file) Fetch() ([]byte, error) {
	n, err := f.Read(f.buf[:])
	return f.buf[:n], err
}
