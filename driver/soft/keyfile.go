package soft

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

const (
	minKeyFile = 32
	maxKeyFile = 4096
)

// A KeyFileProtector wraps a root under the contents of a file, read anew for each
// call. It is of kind "key-file" and not machine-bound: the file can be copied.
type KeyFileProtector struct{ path string }

var _ driver.Protector = (*KeyFileProtector)(nil)

// KeyFile names a key file of 32 to 4096 random bytes, such as CreateKeyFile makes.
// A file that is not there or not readable is Unavailable when it is needed; one of
// another length, one that is no regular file, or one that on Unix its group or
// others have any permission for, is Invalid. A relative path is resolved now, by the
// working directory of this moment.
func KeyFile(path string) *KeyFileProtector {
	if absolute, err := filepath.Abs(path); err == nil && path != "" {
		path = absolute
	}
	return &KeyFileProtector{path: path}
}

// CreateKeyFile writes a new file of 32 random bytes for its owner alone (mode
// 0600; on Windows the folder's access list decides), durable on return. A file
// that exists is left alone, and the error is fs.ErrExist.
func CreateKeyFile(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	key := make([]byte, minKeyFile)
	defer suite.Wipe(key)
	rand.Read(key)
	_, err = f.Write(key)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a new name durable, where a folder can be synced at all.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Kind returns "key-file".
func (*KeyFileProtector) Kind() string { return "key-file" }

// MachineBound returns false.
func (*KeyFileProtector) MachineBound() bool { return false }

// Protect wraps root.
func (p *KeyFileProtector) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	key, err := readKeyFile("Protect", p.path)
	if err != nil {
		return nil, err
	}
	defer suite.Wipe(key)
	return protect(shape{kind: kindKeyFile}, b, func(work, []byte) ([]byte, error) { return key, nil }, root)
}

// Recover appends the root to dst.
func (p *KeyFileProtector) Recover(ctx context.Context, dst []byte, b driver.Binding, blob driver.Blob) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	key, err := readKeyFile("Recover", p.path)
	if err != nil {
		return nil, err
	}
	defer suite.Wipe(key)
	return recoverRoot(dst, sealedRoot{kindKeyFile, b, blob}, func(work, []byte) ([]byte, error) { return key, nil })
}

// readKeyFile reads and checks a key file. The caller wipes.
func readKeyFile(op, path string) ([]byte, error) {
	// Looked at before it is opened, since opening a pipe would wait.
	info, err := os.Stat(path)
	if err != nil {
		return nil, fault(op, driver.Unavailable, err)
	}
	if err := checkKeyFile(info); err != nil {
		return nil, fault(op, driver.Invalid, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fault(op, driver.Unavailable, err)
	}
	defer f.Close()
	// And again, since another file may have the name by now.
	if info, err = f.Stat(); err != nil {
		return nil, fault(op, driver.Unavailable, err)
	}
	if err := checkKeyFile(info); err != nil {
		return nil, fault(op, driver.Invalid, err)
	}
	key := make([]byte, info.Size())
	if _, err := io.ReadFull(f, key); err != nil {
		suite.Wipe(key)
		return nil, fault(op, driver.Unavailable, err)
	}
	return key, nil
}

func checkKeyFile(info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return errors.New("the key file is no regular file")
	case info.Size() < minKeyFile || info.Size() > maxKeyFile:
		return errors.New("a key file has 32 to 4096 bytes")
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return errors.New("the key file is open to its group or others; chmod 600 it")
	}
	return nil
}
