package keystore

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// renameIfThere renames a file; an absent one is no error.
func (d *directory) renameIfThere(from, to string) error {
	if err := d.root.Rename(from, to); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// erase overwrites a file with zeros, durably, and removes it; an absent one is no
// error. A file that has a second name, a link and what is not a file lose only the
// name: what else refers to the bytes is not the store's.
//
// Overwriting is as much as a program can do, and not always enough: flash writes to
// another place and keeps the old block for a while, as do file systems that copy on
// write, and snapshots and backups keep what they have.
func (d *directory) erase(name string) error {
	info, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().IsRegular() && !hasOtherName(info) {
		err = d.overwrite(name, info)
	}
	return errors.Join(err, d.root.Remove(name))
}

// overwrite writes zeros over the file that want describes, up to the length of the
// longest root file.
func (d *directory) overwrite(name string, want fs.FileInfo) error {
	f, err := d.root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && os.SameFile(info, want) && !hasOtherName(info) {
		_, err = f.Write(make([]byte, min(info.Size(), maxRootFile)))
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// writeSynced makes a file, durably, and erases the one that is in its place.
func (d *directory) writeSynced(name string, b []byte) error {
	if err := d.erase(name); err != nil {
		return err
	}
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}

// readBounded reads a file of at most limit bytes. Of a longer one it returns
// limit+1 bytes.
func (d *directory) readBounded(name string, limit int) ([]byte, error) {
	f, err := d.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(limit)+1))
}
