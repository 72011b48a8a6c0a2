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

// A KeyFileProtector wraps a root under the contents of a file, which it reads in each
// call. It is of kind "key-file" and not machine-bound, because the file can be copied.
type KeyFileProtector struct{ path string }

var _ driver.Protector = (*KeyFileProtector)(nil)

// KeyFile returns a protector for a key file of 32 to 4096 random bytes, such as
// CreateKeyFile makes. It resolves a relative path against the present working directory;
// it does not open the file.
//
// Errors of Protect and Recover:
//   - Unavailable: the file does not exist or cannot be read.
//   - Invalid: the file has another length, is not a regular file or, on Unix, gives its
//     group or others any permission.
func KeyFile(path string) *KeyFileProtector {
	if absolute, err := filepath.Abs(path); err == nil && path != "" {
		path = absolute
	}
	return &KeyFileProtector{path: path}
}

// CreateKeyFile creates a file of 32 random bytes that only its owner may read (mode
// 0600; on Windows the folder's access list applies). The file is durable when
// CreateKeyFile returns. If the file exists it is not changed, and the error is
// fs.ErrExist.
func CreateKeyFile(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	key := suite.NewSecret(minKeyFile)
	defer suite.Wipe(key)
	rand.Read(key)
	_, err = f.Write(key)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a new name in dir durable, on systems that can sync a folder.
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

// Protect wraps root under the contents of the file.
func (p *KeyFileProtector) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	key, err := readKeyFile("Protect", p.path)
	if err != nil {
		return nil, err
	}
	defer suite.Wipe(key)
	return protect(shape{kind: kindKeyFile}, b, func(kdfWork, []byte) ([]byte, error) { return key, nil }, root)
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
	return recoverRoot(dst, sealedRoot{kindKeyFile, b, blob}, func(kdfWork, []byte) ([]byte, error) { return key, nil })
}

// readKeyFile reads and checks a key file. The caller wipes the result.
func readKeyFile(op, path string) ([]byte, error) {
	// Check before opening, because opening a pipe would block.
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
	// Check again, because another file may have the name by now.
	if info, err = f.Stat(); err != nil {
		return nil, fault(op, driver.Unavailable, err)
	}
	if err := checkKeyFile(info); err != nil {
		return nil, fault(op, driver.Invalid, err)
	}
	key := suite.NewSecret(int(info.Size()))
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
