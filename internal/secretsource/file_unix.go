//go:build unix

package secretsource

import (
	"fmt"
	"os"
	"slices"
	"syscall"
)

// notOthers checks that users other than the file's owner and group have no rights.
func notOthers(info os.FileInfo, k Kind) error {
	if info.Mode().Perm()&0o007 != 0 {
		return fmt.Errorf("the %s file is open to group or others: chmod 600 it", k.Name)
	}
	return nil
}

// ownGroupOnly checks the rights that a file must have; see PIN.File of package pkcs11.
func ownGroupOnly(info os.FileInfo, k Kind) error {
	if err := notOthers(info, k); err != nil {
		return err
	}
	perm := info.Mode().Perm()
	if perm&0o070 == 0 {
		return nil
	}
	refused := fmt.Errorf("the %s file is open to its group, which this process is not in, or which may write it, or its owner is another user: chmod 600 it, or give it a group of the process and mode 440", k.Name)
	owner, ok := info.Sys().(*syscall.Stat_t)
	if perm&0o030 != 0 || !ok || owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
		return refused
	}
	groups, err := os.Getgroups()
	if err != nil || int(owner.Gid) != os.Getegid() && !slices.Contains(groups, int(owner.Gid)) {
		return refused
	}
	return nil
}

// readFile reads a file that has the required rights. It checks them on the open file, so
// that the file cannot be replaced in between. Opening a pipe does not wait for its other
// end.
func readFile(path string, k Kind, allowed func(os.FileInfo, Kind) error) ([]byte, error) {
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
		return nil, fmt.Errorf("the %s file is no regular file", k.Name)
	}
	if err := allowed(info, k); err != nil {
		return nil, err
	}
	return readAll(f, k)
}

// readDescriptor reads the rest of a descriptor and leaves it open: if it were closed,
// its number would be reused for another file, and the next reading would take that for
// the secret.
func readDescriptor(fd int, k Kind) ([]byte, error) {
	own, err := syscall.Dup(fd)
	if err != nil {
		return nil, fmt.Errorf("the descriptor of the %s is not open", k.Name)
	}
	syscall.CloseOnExec(own)
	f := os.NewFile(uintptr(own), k.Name)
	defer f.Close()
	return readAll(f, k)
}
