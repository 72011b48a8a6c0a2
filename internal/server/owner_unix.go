//go:build unix

package server

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// onlyOurs returns an error if another user than root and that of the process may write a file.
func onlyOurs(info fs.FileInfo) error {
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode().Perm()&0o022 != 0:
		return errors.New("others may write it: chmod go-w it")
	case !ok || owner.Uid != 0 && int(owner.Uid) != os.Geteuid():
		return errors.New("another user owns it: chown it to root or to the user of the server")
	}
	return nil
}
