package keystore

import (
	"errors"
	"io/fs"
)

// ReadBeside reads a small file that stands beside the store's own and is none of them: of
// at most limit bytes; of a longer one it returns limit+1. nil, without an error, if there
// is none. Nothing authenticates the file.
func (l *DirLock) ReadBeside(name string, limit int) ([]byte, error) {
	b, err := l.dir.readBounded(name, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// ReplaceBeside puts b in the place of such a file, durably.
func (l *DirLock) ReplaceBeside(name string, b []byte) error {
	if err := l.dir.writeSynced(name+".new", b); err != nil {
		return err
	}
	return errors.Join(l.dir.root.Rename(name+".new", name), l.dir.sync())
}

// RemoveBeside removes such a file; an absent one is no error.
func (l *DirLock) RemoveBeside(name string) error {
	if err := l.dir.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
