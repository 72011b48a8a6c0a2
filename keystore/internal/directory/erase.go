package directory

import (
	"errors"
	"io/fs"
	"os"

	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/osfile"
)

// Erase overwrites a file with zeros, durably, and removes it. An absent file is not an
// error. A file with a second hard link, a symbolic link and anything but a regular file
// lose only the name, because other references to the bytes are not the store's. If a
// shortage keeps the bytes from being overwritten, the name stays, so that Erase can be
// called again.
//
// Overwriting is all that a program can do, and it is not always enough: flash storage
// and copy-on-write file systems write to another place and keep the old block for a
// while, and snapshots and backups keep their copies.
func (d *Dir) Erase(name string) error {
	info, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().IsRegular() && !osfile.HasOtherName(info) {
		err = d.overwrite(name, info)
	}
	if fault.IsShortage(err) {
		return err
	}
	return errors.Join(err, d.root.Remove(name))
}

// maxErase bounds the bytes that are overwritten. No file with a secret is longer.
const maxErase = 1 << 20

// overwrite writes zeros over the file described by want.
func (d *Dir) overwrite(name string, want fs.FileInfo) error {
	f, err := d.root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && os.SameFile(info, want) && !osfile.HasOtherName(info) {
		_, err = f.Write(make([]byte, min(info.Size(), maxErase)))
	}
	return errors.Join(err, f.Sync(), f.Close())
}
