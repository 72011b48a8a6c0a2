package keystore

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// renameIfThere renames a file; an absent one is no error.
func renameIfThere(from, to string) error {
	if err := os.Rename(from, to); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// eraseFile overwrites a file with zeros, durably, and removes it; an absent one
// is no error. This is as much as a program can do, and not always enough: flash
// writes to another place and keeps the old block for a while, as do file systems
// that copy on write, and snapshots and backups keep what they have. Whoever gets
// at such a rest has an old root file.
func eraseFile(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().IsRegular() { // what a link names is not ours
		err = overwrite(path, min(info.Size(), maxRootFile))
	}
	return errors.Join(err, os.Remove(path))
}

func overwrite(path string, n int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, n))
	return errors.Join(err, f.Sync(), f.Close())
}

// writeSynced makes a file, durably, and erases the one that is in its place.
func writeSynced(path string, b []byte) error {
	if err := eraseFile(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}

// readBounded reads a file of at most limit bytes; of a longer one it answers
// limit+1 bytes.
func readBounded(path string, limit int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(limit)+1))
}
