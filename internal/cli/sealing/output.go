package sealing

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrOutputExists reports an output that is there already. It was not changed.
var ErrOutputExists = errors.New("the output exists already: remove it, or use --force")

// An output is a file or directory that is being written under a temporary name beside its
// own.
type output struct {
	path, temporary string
	replace         bool
}

// newOutput prepares the output at path. With replace an existing file is replaced; a
// directory never is.
func newOutput(path string, replace bool) (*output, error) {
	info, err := os.Lstat(path)
	if err == nil && (!replace || info.IsDir()) {
		return nil, fmt.Errorf("%w: %s", ErrOutputExists, path)
	}
	return &output{path: path, replace: replace}, nil
}

func (o *output) pattern() (dir, pattern string) {
	return filepath.Dir(o.path), "." + filepath.Base(o.path) + ".unfinished-*"
}

// createFile makes the temporary file, which only its owner can read.
func (o *output) createFile() (*os.File, error) {
	f, err := os.CreateTemp(o.pattern())
	if err == nil {
		o.temporary = f.Name()
	}
	return f, err
}

// createDirectory makes the temporary directory, which only its owner can enter.
func (o *output) createDirectory() (*os.Root, error) {
	dir, err := os.MkdirTemp(o.pattern())
	if err != nil {
		return nil, err
	}
	o.temporary = dir
	return os.OpenRoot(dir)
}

// commitFile gives the file its name, and closes f whatever happens. Without replace the
// name is taken by a link, which fails if another process took it in the meantime.
func (o *output) commitFile(f *os.File) error {
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if o.replace {
		return o.rename()
	}
	err := os.Link(o.temporary, o.path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %s", ErrOutputExists, o.path)
	case err != nil: // a file system without hard links
		return o.rename()
	}
	err = os.Remove(o.temporary)
	o.temporary = ""
	return errors.Join(err, syncDirectory(filepath.Dir(o.path)))
}

// rename gives the temporary file or directory its name.
func (o *output) rename() error {
	if err := os.Rename(o.temporary, o.path); err != nil {
		return err
	}
	o.temporary = ""
	return syncDirectory(filepath.Dir(o.path))
}

// discard removes what was not given its name.
func (o *output) discard() {
	if o.temporary != "" {
		os.RemoveAll(o.temporary)
	}
}

// syncDirectory makes a new name durable, on systems that sync directories.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); !errors.Is(err, syscall.EINVAL) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}
