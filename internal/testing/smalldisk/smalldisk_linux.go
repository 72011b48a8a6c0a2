package smalldisk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Tmpfs mounts a file system in memory and returns its directory. It skips the test where
// mounting is not permitted, and fails it in CI for any other reason.
func Tmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		unusable(t, "mounting a tmpfs", err)
	}
	cleanUp(t, dir)
	return dir
}

// An Image is a file system of a type in a file, mounted at Dir.
type Image struct{ Kind, Path, Dir string }

// Make makes a file system of a type, such as ext4, with a size in MiB, and mounts it.
func Make(t *testing.T, kind string, mib int) Image {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err == nil {
		err = errors.Join(f.Truncate(int64(mib)<<20), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-q", path}
	if kind == "ext4" { // else the system goes on to initialise the tables after it is mounted
		args = append([]string{"-E", "lazy_itable_init=0,lazy_journal_init=0"}, args...)
	}
	if output, err := exec.Command("mkfs."+kind, args...).CombinedOutput(); err != nil {
		unusable(t, "mkfs."+kind, fmt.Errorf("%w: %s", err, output))
	}
	image := Image{kind, path, t.TempDir()}
	if err := image.mount(t); err != nil {
		unusable(t, "mounting an image", err)
	}
	return image
}

// MountCopy mounts a copy of the image, which the system first brings to a consistent state
// by its journal.
func (i Image) MountCopy(t *testing.T, path string) Image {
	t.Helper()
	image := Image{i.Kind, path, t.TempDir()}
	if err := image.mount(t); err != nil {
		t.Fatalf("mounting a copy: %v", err)
	}
	return image
}

func (i Image) mount(t *testing.T) error {
	options := "loop"
	if i.Kind == "xfs" { // else it does not mount two file systems with one id
		options += ",nouuid"
	}
	if output, err := exec.Command("mount", "-o", options, i.Path, i.Dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	cleanUp(t, i.Dir)
	return os.Chmod(i.Dir, 0o700)
}

// Unmount unmounts before the end of the test.
func (i Image) Unmount(t *testing.T) {
	t.Helper()
	if err := unmount(i.Dir); err != nil {
		t.Errorf("unmount: %v", err)
	}
}

func cleanUp(t *testing.T, dir string) {
	t.Cleanup(func() {
		if err := unmount(dir); err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: it is not mounted any more
			t.Errorf("unmount: %v", err)
		}
	})
}

// unmount unmounts dir. A child that another test has forked, and that has not yet begun its
// program, has this process's files open for a moment.
func unmount(dir string) error {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err := unix.Unmount(dir, 0); !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return err
		}
	}
}

// unusable skips the test if this user is not permitted to mount, as in a container, and
// outside CI for any other reason.
func unusable(t *testing.T, what string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" && permitted() {
		t.Fatalf("%s: %v, which root in CI must be able to do", what, err)
	}
	t.Skipf("%s: %v", what, err)
}

// permitted reports whether this process may mount at all.
func permitted() bool {
	dir, err := os.MkdirTemp("", "mount")
	if err != nil {
		return true
	}
	defer os.Remove(dir)
	err = unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k")
	if err == nil {
		err = unix.Unmount(dir, 0)
	}
	return !errors.Is(err, unix.EPERM)
}
