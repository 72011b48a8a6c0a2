package keystore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// directory is a store's directory, held open. The store reaches its files through the
// handle and not through the path, because another directory may be put at the path while
// the store is open.
type directory struct {
	path string // absolute: for messages, and to check that it still names the open directory
	root *os.Root
	self *os.File // the directory itself
	id   stamp    // of self
}

// openDirectory opens the directory at path. ErrNoStore if there is none.
func openDirectory(path string) (*directory, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, environment("find the working directory", path, err)
	}
	root, err := os.OpenRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the directory %s does not exist (is it mounted?)", ErrNoStore, path)
	}
	if err != nil {
		return nil, environment("open the directory", path, err)
	}
	return newDirectory(path, root)
}

func newDirectory(path string, root *os.Root) (*directory, error) {
	self, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, environment("open the directory", path, err)
	}
	id, err := stampOf(self)
	if err != nil {
		return nil, errors.Join(environment("look at", path, err), self.Close(), root.Close())
	}
	return &directory{path: path, root: root, self: self, id: id}, nil
}

// openSub opens a subdirectory.
func (d *directory) openSub(name string) (*directory, error) {
	root, err := d.root.OpenRoot(name)
	if err != nil {
		return nil, environment("open the directory", d.join(name), err)
	}
	return newDirectory(d.join(name), root)
}

func (d *directory) close() error { return errors.Join(d.self.Close(), d.root.Close()) }

// join returns the path of a file, for messages.
func (d *directory) join(name string) string { return filepath.Join(d.path, name) }

// open opens a file, and makes it if flag has os.O_CREATE. It refuses anything but a
// regular file, because a link may name a file that is not the store's.
func (d *directory) open(name string, flag int) (*os.File, error) {
	before, err := d.root.Lstat(name)
	if err == nil && !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file; remove it", ErrDirectory, d.join(name))
	}
	f, err := d.root.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && before != nil && !os.SameFile(before, info) {
		err = fmt.Errorf("%w: %s was replaced while it was opened", ErrReplaced, d.join(name))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (d *directory) exists(name string) bool {
	_, err := d.root.Lstat(name)
	return err == nil
}

// sync makes the entries of the directory durable.
func (d *directory) sync() error { return syncDirectory(d.self) }

// setAside renames a file that is not known to be the store's to a free name, because it
// may be the only copy of something else. An absent file is not an error.
func (d *directory) setAside(name string) error {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.aside%d", name, n)
		if d.exists(aside) {
			continue
		}
		if err := d.root.Rename(name, aside); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
}
