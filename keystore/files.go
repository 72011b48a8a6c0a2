package keystore

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// renameIfThere renames a file. An absent file is not an error.
func (d *directory) renameIfThere(from, to string) error {
	if err := d.root.Rename(from, to); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// erase overwrites a file with zeros, durably, and removes it. An absent file is not an
// error. A file with a second hard link, a symbolic link and anything but a regular file
// lose only the name, because other references to the bytes are not the store's. If a
// shortage keeps the bytes from being overwritten, the name stays, so that erase can be
// called again.
//
// Overwriting is all that a program can do, and it is not always enough: flash storage
// and copy-on-write file systems write to another place and keep the old block for a
// while, and snapshots and backups keep their copies.
func (d *directory) erase(name string) error {
	info, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().IsRegular() && !hasOtherName(info) {
		err = d.overwrite(name, info)
	}
	if shortage(err) {
		return err
	}
	return errors.Join(err, d.root.Remove(name))
}

// overwrite writes zeros over the file described by want, up to the length of the longest
// root file.
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

// writeSynced makes a file, durably. It erases an existing file of that name first.
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

// readBounded reads a file of at most limit bytes. It returns limit+1 bytes of a longer
// one.
func (d *directory) readBounded(name string, limit int) ([]byte, error) {
	f, err := d.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(limit)+1))
}
