package keystore

import (
	"errors"
	"io/fs"
)

// ReadBeside reads a small file in the store's directory that is not one of the store's
// own files. It returns at most limit+1 bytes, so a result of limit+1 bytes means that
// the file is too long. It returns nil without an error if there is no such file. The
// contents are not authenticated.
func (l *DirLock) ReadBeside(name string, limit int) ([]byte, error) {
	b, err := l.dir.readBounded(name, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// ReplaceBeside writes b to a file as ReadBeside reads it, replacing an earlier one, and
// returns once the file is durable.
func (l *DirLock) ReplaceBeside(name string, b []byte) error {
	if err := l.dir.writeSynced(name+".new", b); err != nil {
		return err
	}
	return errors.Join(l.dir.root.Rename(name+".new", name), l.dir.sync())
}

// RemoveBeside removes a file as ReadBeside reads it. Removing an absent file is not an
// error.
func (l *DirLock) RemoveBeside(name string) error {
	if err := l.dir.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
