// Package directory has the handle of a store's directory, which belongs to one user. The store
// reaches its files through the handle and not through the path, because another directory may
// be put at the path while the store is open.
package directory

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/osfile"
)

// A Dir is a directory that is held open.
type Dir struct {
	path string // absolute: for messages, and to check that it still names the open directory
	root *os.Root
	self *os.File     // the directory itself
	id   osfile.Stamp // of self
}

// Open opens the directory at path. ErrNoStore if there is none.
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fault.Environment("find the working directory", path, err)
	}
	root, err := os.OpenRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the directory %s does not exist (is it mounted?)", fault.ErrNoStore, path)
	}
	if err != nil {
		return nil, fault.Environment("open the directory", path, err)
	}
	return newDir(path, root)
}

func newDir(path string, root *os.Root) (*Dir, error) {
	self, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, fault.Environment("open the directory", path, err)
	}
	id, err := osfile.StampOf(self)
	if err != nil {
		return nil, errors.Join(fault.Environment("look at", path, err), self.Close(), root.Close())
	}
	return &Dir{path: path, root: root, self: self, id: id}, nil
}

// OpenDir opens a subdirectory.
func (d *Dir) OpenDir(name string) (*Dir, error) {
	root, err := d.root.OpenRoot(name)
	if err != nil {
		return nil, fault.Environment("open the directory", d.Join(name), err)
	}
	return newDir(d.Join(name), root)
}

// Close closes the handle.
func (d *Dir) Close() error { return errors.Join(d.self.Close(), d.root.Close()) }

// Path returns the directory's absolute path. It serves messages, because another directory
// may be at the path by now.
func (d *Dir) Path() string { return d.path }

// File returns the open directory.
func (d *Dir) File() *os.File { return d.self }

// Join returns the path of a file, for messages.
func (d *Dir) Join(name string) string { return filepath.Join(d.path, name) }

// OpenFile opens a file, and makes it if flag has os.O_CREATE. It refuses anything but a
// regular file, because a link may name a file that is not the store's.
func (d *Dir) OpenFile(name string, flag int) (*os.File, error) {
	before, err := d.root.Lstat(name)
	if err == nil && !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file; remove it", fault.ErrDirectory, d.Join(name))
	}
	f, err := d.root.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && before != nil && !os.SameFile(before, info) {
		err = fmt.Errorf("%w: %s was replaced while it was opened", fault.ErrReplaced, d.Join(name))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Create makes a file, whose name must be free, for reading and writing.
func (d *Dir) Create(name string) (*os.File, error) {
	return d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// Exists reports whether there is a file of any kind.
func (d *Dir) Exists(name string) bool {
	_, err := d.root.Lstat(name)
	return err == nil
}

// Sync makes the entries of the directory durable.
func (d *Dir) Sync() error { return osfile.SyncDirectory(d.self) }

// SetAside renames a file that is not known to be the store's to a free name, because it
// may be the only copy of something else. An absent file is not an error.
func (d *Dir) SetAside(name string) error {
	_, err := d.SetAsideAs(name)
	return err
}

// SetAsideAs is SetAside and returns the new name.
func (d *Dir) SetAsideAs(name string) (string, error) {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.aside%d", name, n)
		if d.Exists(aside) {
			continue
		}
		if err := d.root.Rename(name, aside); !errors.Is(err, fs.ErrNotExist) {
			return aside, err
		}
		return "", nil
	}
}

// Make makes a subdirectory, unless it is there.
func (d *Dir) Make(name string) error {
	if err := d.root.Mkdir(name, 0o700); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Remove removes a file. An absent file is not an error.
func (d *Dir) Remove(name string) error {
	if err := d.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// RemoveAll removes a file or a subdirectory with all that it has. An absent one is not an
// error.
func (d *Dir) RemoveAll(name string) error { return d.root.RemoveAll(name) }

// Rename renames a file, and replaces a file of the new name.
func (d *Dir) Rename(from, to string) error { return d.root.Rename(from, to) }

// RenameIfThere is Rename, but an absent file is not an error.
func (d *Dir) RenameIfThere(from, to string) error {
	if err := d.root.Rename(from, to); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// WriteSynced makes a file, durably. It erases an existing file of that name first.
func (d *Dir) WriteSynced(name string, b []byte) error {
	if err := d.Erase(name); err != nil {
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

// ReadBounded reads a file of at most limit bytes. It returns limit+1 bytes of a longer
// one.
func (d *Dir) ReadBounded(name string, limit int) ([]byte, error) {
	f, err := d.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(limit)+1))
}

// Read reads a whole file. It returns nil without an error if there is none.
func (d *Dir) Read(name string) ([]byte, error) {
	f, err := d.OpenFile(name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// WriteAgain writes the contents of an open file to a new file under its name, durably, and
// continues with the new file. The name must be free.
func (d *Dir) WriteAgain(name string, file **os.File) error {
	info, err := (*file).Stat()
	if err != nil {
		return err
	}
	b := make([]byte, info.Size())
	if _, err := (*file).ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := d.WriteSynced(name+".new", b); err != nil {
		return err
	}
	if err := errors.Join(d.root.Rename(name+".new", name), d.Sync()); err != nil {
		return err
	}
	f, err := d.OpenFile(name, os.O_RDWR)
	if err != nil {
		return err
	}
	was := *file
	*file = f
	return was.Close()
}
