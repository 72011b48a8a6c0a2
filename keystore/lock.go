package keystore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"strongroom.example/keystore/internal/directory"
	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/osfile"
)

const lockName = "lock"

// DirLock is the lock of one store's directory. It also holds the directory open.
type DirLock struct {
	dir  *directory.Dir
	file *os.File
	// Made by MakeAndLock: the lock file, and directories, the lock's own first.
	fresh bool
	made  []string
}

// Lock takes the lock of the directory. It must be held before anything else in the
// directory is accessed. Errors:
//   - ErrInUse: this or another process has it.
//   - ErrNoStore: there is no directory. Lock does not make one.
//   - ErrDirectory: the directory belongs to another user, others may write to it, or the
//     system does not allow a call that is needed. The text names the remedy.
func Lock(dir string) (*DirLock, error) {
	d, err := directory.Open(dir)
	if err != nil {
		return nil, err
	}
	l := &DirLock{dir: d}
	if err := l.take(); err != nil {
		if l.file != nil {
			l.file.Close()
		}
		return nil, errors.Join(err, d.Close())
	}
	return l, nil
}

// MakeAndLock is Lock, but makes the directory if it is absent. Discard removes it again.
func MakeAndLock(dir string) (*DirLock, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fault.Environment("find the working directory", dir, err)
	}
	made := missing(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		remove(made)
		return nil, fault.Environment("make", dir, err)
	}
	l, err := Lock(dir)
	if err != nil {
		remove(made)
		return nil, err
	}
	l.made = made
	return l, nil
}

// missing lists the directories that do not exist, from dir upwards.
func missing(dir string) (paths []string) {
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			return paths
		}
		paths = append(paths, dir)
	}
}

// remove removes directories, the innermost first, as long as they are empty.
func remove(paths []string) {
	for _, path := range paths {
		if os.Remove(path) != nil {
			return
		}
	}
}

// Discard is Unlock after a failed Create: it also removes the lock file if this lock
// made it, and the empty directories that MakeAndLock made.
func (l *DirLock) Discard() error {
	var err error
	if l.fresh {
		err = l.dir.Remove(lockName)
	}
	here := l.dir.IsHere() == nil
	err = errors.Join(err, l.Unlock())
	if here {
		remove(l.made)
	}
	return err
}

func (l *DirLock) take() error {
	if err := l.dir.CheckOwner(); err != nil {
		return err
	}
	path := l.dir.Join(lockName)
	for range 100 {
		l.fresh = !l.dir.Exists(lockName)
		f, err := l.dir.OpenFile(lockName, os.O_RDWR|os.O_CREATE)
		if err != nil {
			return fault.Environment("open", path, err)
		}
		l.file = f
		if err := osfile.Lock(f); errors.Is(err, osfile.ErrLocked) {
			return fmt.Errorf("%w: %s is locked: the program that has it open, perhaps this one, has to close it", ErrInUse, path)
		} else if err != nil {
			return fault.Environment("lock", path, err)
		}
		if l.dir.IsAt(lockName, f) == nil {
			return l.dir.Restrict(engineDir, append([]string{lockName, createFile}, parts...)...)
		}
		f.Close() // a Create that failed removed the file between opening and locking
	}
	return fmt.Errorf("%w: %s is replaced all the time", ErrInUse, path)
}

// Unlock releases the lock and closes the directory. The lock file stays.
func (l *DirLock) Unlock() error {
	return errors.Join(osfile.Unlock(l.file), l.file.Close(), l.dir.Close())
}

// ReadBeside reads a small file in the store's directory that is not one of the store's
// own files. It returns at most limit+1 bytes, so a result of limit+1 bytes means that
// the file is too long. It returns nil without an error if there is no such file. The
// contents are not authenticated.
func (l *DirLock) ReadBeside(name string, limit int) ([]byte, error) {
	b, err := l.dir.ReadBounded(name, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// ReplaceBeside writes b to a file as ReadBeside reads it, replacing an earlier one, and
// returns once the file is durable.
func (l *DirLock) ReplaceBeside(name string, b []byte) error {
	if err := l.dir.WriteSynced(name+".new", b); err != nil {
		return err
	}
	return errors.Join(l.dir.Rename(name+".new", name), l.dir.Sync())
}

// RemoveBeside removes a file as ReadBeside reads it. Removing an absent file is not an
// error.
func (l *DirLock) RemoveBeside(name string) error { return l.dir.Remove(name) }
