package keystore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// DirLock is the lock of one store's directory.
type DirLock struct{ file *os.File }

// Lock takes the directory's lock before anything else is touched. ErrInUse if
// this or another process has it; ErrNoStore if there is no directory, which
// Lock does not make.
func Lock(dir string) (*DirLock, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the directory does not exist (is it mounted?)", ErrNoStore)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keystore: the directory must be writable: %w", err)
	}
	if err := lockFile(f); err != nil {
		f.Close()
		if errors.Is(err, ErrInUse) {
			return nil, fmt.Errorf("%w: whoever has it open, in this process or another, has to close it", err)
		}
		return nil, fmt.Errorf("keystore: lock: %w", err)
	}
	return &DirLock{f}, nil
}

// Unlock gives the directory free. The lock file stays.
func (l *DirLock) Unlock() error { return l.file.Close() }
