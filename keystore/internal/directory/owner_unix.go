//go:build unix

package directory

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"strongroom.example/keystore/internal/fault"
)

// CheckOwner returns ErrDirectory unless the directory belongs to the user of this
// process and no other user may write to it. The files of a store belong to the user that
// opened it, so if another user, root included, opened it, its owner could no longer do
// so.
//
// A group may write if the directory has the set-group-ID bit and the group is one of
// this process, because Kubernetes sets a volume with an fsGroup so at each mount.
// Restrict removes that permission.
func (d *Dir) CheckOwner() error {
	info, err := d.self.Stat()
	if err != nil {
		return fault.Environment("look at", d.path, err)
	}
	owner, group := ownerOf(info)
	if me := os.Geteuid(); owner != me {
		return fmt.Errorf("%w: %s belongs to user %d and this program runs as user %d; run it as user %d, "+
			"or have \"chown -R %d %s\" done, or use a directory of its own inside", fault.ErrDirectory, d.path, owner, me, owner, me, d.path)
	}
	mode := info.Mode()
	shared := mode&fs.ModeSetgid != 0 && inGroup(group)
	if mode&0o002 != 0 || mode&0o020 != 0 && !shared {
		return fmt.Errorf("%w: other users may write to %s (mode %04o) and could destroy what is in it; do \"chmod 700 %s\", "+
			"or use a directory of its own inside", fault.ErrDirectory, d.path, mode.Perm(), d.path)
	}
	return nil
}

func ownerOf(info fs.FileInfo) (user, group int) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1
	}
	return int(s.Uid), int(s.Gid)
}

func inGroup(group int) bool {
	groups, err := os.Getgroups()
	return group == os.Getegid() || err == nil && slices.Contains(groups, group)
}

// Restrict removes the permissions of group and others from the directory, from the named
// files in it, and from everything in its subdirectory inner, if there is one: files become
// 0600 and directories 0700, whatever the umask was. It returns ErrDirectory if a file belongs
// to another user. Names that are not the store's, such as lost+found, are not changed.
func (d *Dir) Restrict(inner string, names ...string) error {
	for _, name := range append([]string{".", inner}, names...) {
		if err := d.restrictOne(name); err != nil {
			return err
		}
	}
	if !d.Exists(inner) {
		return nil
	}
	sub, err := d.OpenDir(inner)
	if err != nil {
		return err
	}
	return errors.Join(sub.RestrictAll(), sub.Close())
}

// RestrictAll does the same for every name in the directory.
func (d *Dir) RestrictAll() error {
	if _, err := d.self.Seek(0, io.SeekStart); err != nil {
		return fault.Environment("list", d.path, err)
	}
	names, err := d.self.Readdirnames(-1)
	if err != nil {
		return fault.Environment("list", d.path, err)
	}
	for _, name := range names {
		if err := d.restrictOne(name); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dir) restrictOne(name string) error {
	info, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil
	}
	if err != nil {
		return fault.Environment("look at", d.Join(name), err)
	}
	owner, _ := ownerOf(info)
	if me := os.Geteuid(); owner != me {
		return fmt.Errorf("%w: %s belongs to user %d and this program runs as user %d, perhaps because a program of user %d "+
			"had the vault open; have \"chown -R %d %s\" done", fault.ErrDirectory, d.Join(name), owner, me, owner, me, d.path)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	mode := info.Mode() &^ 0o077
	if err := d.root.Chmod(name, mode.Perm()|mode&fs.ModeSetgid); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Environment("restrict the rights of", d.Join(name), err)
	}
	return nil
}
