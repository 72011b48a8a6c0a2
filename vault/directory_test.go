//go:build linux

package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inChild runs the test in a process of its own, as user, and reports whether this process
// is that one. A process-wide setting, such as the umask or a limit, would otherwise affect
// other tests.
func inChild(t *testing.T, user uint32) bool {
	t.Helper()
	const mark = "STRONGROOM_CHILD_OF_TEST"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-edition="+testEdition().String())
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	cmd.Dir = "/"
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		if user == 0 {
			cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNS // mounts are removed with the process
		}
	} else if user != nobody {
		t.Fatalf("the test wants to be user %d, and this process is no root", user)
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as user %d: %v\n%s", user, err, out)
	}
	return false
}

const nobody = 65534

// needsRoot skips a test that needs root; in CI the test fails instead.
func needsRoot(t *testing.T, because string) {
	t.Helper()
	switch {
	case os.Getuid() == 0:
	case os.Getenv("CI") != "":
		t.Fatalf("the test needs root: %s", because)
	default:
		t.Skipf("the test needs root: %s", because)
	}
}

// TestReadOnlyFileSystem: a vault on a read-only file system is rejected with an error that
// names the cause, and is not changed.
func TestReadOnlyFileSystem(t *testing.T) {
	needsRoot(t, "it mounts a file system")
	if !inChild(t, 0) {
		return
	}
	dir := t.TempDir()
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(t, unix.Mount("none", dir, "tmpfs", 0, "size=128m,mode=0700"))
	defer unix.Unmount(dir, unix.MNT_DETACH)
	vault := filepath.Join(dir, "vault")
	v, err := Create(t.Context(), vault, testConfig(), passphrase(t, "correct horse"))
	must(t, err)
	closeChecked(t, v)
	must(t, unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, "size=128m"))
	_, errOpen := Open(t.Context(), vault, testConfig(), passphrase(t, "correct horse"))
	_, errCreate := Create(t.Context(), filepath.Join(dir, "new"), testConfig(), passphrase(t, "correct horse"))
	for what, err := range map[string]error{"Open": errOpen, "Create": errCreate} {
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), "copy the directory") || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s on a read-only file system: %v, want ErrUnavailable with path and remedy", what, err)
		}
	}
	must(t, unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, "size=128m"))
	hasKeys(t, "mounted for writing again", vault, nil)
}

// TestModesUnderAnyUmask: files are 0600 and directories 0700 under every umask, while the
// vault is open and afterwards.
func TestModesUnderAnyUmask(t *testing.T) {
	if !inChild(t, nobody) {
		return
	}
	for _, mask := range []int{0, 0o022, 0o277} {
		t.Run(fmt.Sprintf("umask %03o", mask), func(t *testing.T) {
			place := t.TempDir()
			syscall.Umask(mask)
			defer syscall.Umask(0o022)
			dir := filepath.Join(place, "vault")
			v, err := Create(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
			if mask&0o200 != 0 { // a new directory is not writable
				if !errors.Is(err, ErrUnavailable) {
					t.Errorf("Create: %v, want ErrUnavailable", err)
				}
				return
			}
			must(t, err)
			modesAreOwners(t, "after Create", dir)
			mustKey(t, v.As(DefaultOwner), KeyOptions{Alias: "a"})
			must(t, v.As(DefaultOwner).RotateRoot(t.Context(), passphrase(t, "correct horse")))
			modesAreOwners(t, "in use", dir)
			closeChecked(t, v)
			modesAreOwners(t, "after Close", dir)
			must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
				return os.Chmod(path, map[bool]fs.FileMode{true: 0o755, false: 0o666}[d.IsDir()])
			}))
			v = reopened(t, dir)
			modesAreOwners(t, "after Open", dir)
			closeChecked(t, v)
			modesAreOwners(t, "after the second Close", dir)
		})
	}
}

func modesAreOwners(t *testing.T, when, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm() != map[bool]fs.FileMode{true: 0o700, false: 0o600}[d.IsDir()] {
			t.Errorf("%s: %s has mode %v", when, path, info.Mode())
		}
		return err
	}))
}

// TestUnsafeDirectories: a directory to which others may write, or of another user, is
// rejected with an error that says what to do, and nothing in it is changed. The
// set-group-ID form of a Kubernetes volume is accepted, and the group's access is removed.
func TestUnsafeDirectories(t *testing.T) {
	needsRoot(t, "it gives directories to other users")
	s := newReplacementFixture(t)
	for _, row := range []struct {
		name   string
		mode   fs.FileMode
		owner  int
		group  int
		advice string // empty: accepted
	}{
		{"world-writable", 0o777, 0, 0, "chmod 700"},
		{"sticky", 0o777 | fs.ModeSticky, 0, 0, "chmod 700"},
		{"group-writable", 0o770, 0, 0, "chmod 700"},
		{"world-writable with set-group-ID", 0o777 | fs.ModeSetgid, 0, 0, "chmod 700"},
		{"a foreign group's with set-group-ID", 0o770 | fs.ModeSetgid, 0, 4711, "chmod 700"},
		{"a volume of Kubernetes", 0o770 | fs.ModeSetgid, 0, 0, ""},
		{"another user's", 0o700, 1000, 1000, "belongs to user 1000"},
		{"readable by all", 0o755, 0, 0, ""},
	} {
		for _, whole := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, vault %v", row.name, whole), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "v")
				if whole {
					dir = copyDirectory(t, s.template)
				} else {
					must(t, os.Mkdir(dir, 0o700))
				}
				must(t, os.Chown(dir, row.owner, row.group))
				must(t, os.Chmod(dir, row.mode))
				before := digests(t, dir)
				open := Create
				if whole {
					open = Open
				}
				v, err := open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
				if row.advice == "" {
					must(t, err)
					modesAreOwners(t, "afterwards", dir)
					closeChecked(t, v)
					return
				}
				if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), row.advice) || !strings.Contains(err.Error(), dir) {
					t.Errorf("got %v, want ErrUnavailable that names %s and says %q", err, dir, row.advice)
				}
				if after := digests(t, dir); len(after) != len(before) {
					t.Errorf("the directory has %d names, had %d", len(after), len(before))
				}
				if info, _ := os.Stat(dir); info.Mode().Perm() != row.mode.Perm() {
					t.Errorf("the directory's mode is %v, was %v", info.Mode(), row.mode)
				}
			})
		}
	}
}

// TestOtherUsersFiles: root does not open a user's vault, because that would lock the user
// out. The error names a file of another user and the remedy.
func TestOtherUsersFiles(t *testing.T) {
	needsRoot(t, "it gives files to other users")
	s := newReplacementFixture(t)
	dir := copyDirectory(t, s.template)
	give := func(owner int) {
		must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, owner, owner))
		}))
	}
	give(1000)
	_, err := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "belongs to user 1000") || !strings.Contains(err.Error(), "run it as user 1000") {
		t.Errorf("Open by root: %v, want ErrUnavailable that names user 1000", err)
	}
	for _, name := range liveFiles(t, dir) {
		give(0)
		must(t, os.Chown(filepath.Join(dir, name), 1000, 1000))
		_, err := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), filepath.Join(dir, name)) || !strings.Contains(err.Error(), "chown -R 0") {
			t.Errorf("Open with another user's %s: %v, want ErrUnavailable that names it and the remedy", name, err)
		}
	}
	give(0)
	hasKeys(t, "given back", dir, []string{"first", "second"})
}

// TestMarkerOfCreate: the marker of an unfinished Create does not make anything deletable.
// With a root file beside it the vault is complete; without one all files are moved aside.
func TestMarkerOfCreate(t *testing.T) {
	t.Parallel()
	s := newReplacementFixture(t)
	dir := copyDirectory(t, s.template)
	marker := filepath.Join(dir, "creating")
	must(t, os.WriteFile(marker, nil, 0o600))
	before := digests(t, dir)
	if _, err := Create(t.Context(), dir, testConfig(), passphrase(t, "x")); !errors.Is(err, ErrExists) {
		t.Errorf("Create over a marked vault: %v, want ErrExists", err)
	}
	for path, sum := range digests(t, dir) {
		if before[path] != sum {
			t.Errorf("Create over a marked vault changed %s", path)
		}
	}
	hasKeys(t, "marked", dir, []string{"first", "second"})
	if _, err := os.Stat(marker); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open leaves the marker of a whole vault: %v", err)
	}

	must(t, os.WriteFile(marker, nil, 0o600))
	kept := t.TempDir()
	for _, name := range []string{"root", "root.copy"} {
		must(t, os.Rename(filepath.Join(dir, name), filepath.Join(kept, name)))
	}
	v, err := Create(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
	must(t, err)
	closeChecked(t, v)
	saved := filepath.Join(t.TempDir(), "saved")
	must(t, os.Mkdir(saved, 0o700))
	for _, name := range []string{"tip", "store"} {
		must(t, os.Rename(filepath.Join(dir, name+".aside1"), filepath.Join(saved, name)))
	}
	for _, name := range []string{"root", "root.copy"} {
		must(t, os.Rename(filepath.Join(kept, name), filepath.Join(saved, name)))
	}
	hasKeys(t, "set aside", saved, []string{"first", "second"})
}

// TestLeftoverNames: a file that has the name of a leftover of a root file replacement, but
// is something else, keeps its bytes.
func TestLeftoverNames(t *testing.T) {
	t.Parallel()
	s := newReplacementFixture(t)
	for _, name := range []string{"root.old", "root.new", "root.copy.new", "root.next", "tip.new"} {
		for _, kind := range []string{"hard link", "link", "another vault's root"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				dir, mine := copyDirectory(t, s.template), filepath.Join(t.TempDir(), "mine")
				content := []byte("my only copy")
				if kind == "another vault's root" {
					var err error
					content, err = os.ReadFile(filepath.Join(s.other, "root"))
					must(t, err)
				}
				must(t, os.WriteFile(mine, content, 0o600))
				at := filepath.Join(dir, name)
				switch kind {
				case "hard link":
					must(t, os.Link(mine, at))
				case "link":
					must(t, os.Symlink(mine, at))
				default:
					must(t, os.Rename(mine, at))
				}
				v := reopened(t, dir)
				must(t, v.As(DefaultOwner).RotateRoot(t.Context(), passphrase(t, "correct horse")))
				closeChecked(t, v)
				if kind == "another vault's root" {
					mine = at
					if _, err := os.Stat(at + ".aside1"); err == nil {
						mine = at + ".aside1"
					}
				}
				if got, err := os.ReadFile(mine); err != nil || string(got) != string(content) {
					t.Errorf("the file has %q, %v; want %q", got, err, content)
				}
			})
		}
	}
}

// TestCreateWithoutLockedMemory: a Create that fails for lack of locked memory leaves
// nothing, at whatever step it fails.
func TestCreateWithoutLockedMemory(t *testing.T) {
	if !inChild(t, nobody) {
		return
	}
	place := t.TempDir()
	var was unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_MEMLOCK, &was))
	failed := 0
	for n := uint64(0); ; n += 4 << 10 {
		if n > was.Max {
			t.Fatalf("Create needs more locked memory than the limit of %d bytes", was.Max)
		}
		must(t, unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: n, Max: was.Max}))
		dir := filepath.Join(place, "a", fmt.Sprint(n))
		v, err := Create(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
		if err == nil {
			must(t, v.Close())
			break
		}
		failed++
		if !errors.Is(err, ErrLockedMemory) {
			t.Errorf("Create with %d bytes of locked memory: %v, want ErrLockedMemory", n, err)
		}
		if left, _ := os.ReadDir(place); len(left) > 0 {
			t.Errorf("Create with %d bytes of locked memory left %v", n, left)
		}
	}
	if failed < 2 {
		t.Errorf("Create failed %d times; the limit had no effect", failed)
	}
}

// TestFailedRestoreLeavesNothing: a failed Restore leaves nothing, like a failed Create.
func TestFailedRestoreLeavesNothing(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	mustKey(t, v.As(DefaultOwner), KeyOptions{Alias: "a"})
	var backup bytes.Buffer
	if _, err := v.As(DefaultOwner).Backup(t.Context(), &backup, BackupOptions{}, passphrase(t, "backup")); err != nil {
		t.Fatal(err)
	}
	place := t.TempDir()
	restore := func(b []byte) (*Vault, error) {
		return Restore(t.Context(), filepath.Join(place, "a", "vault"), testConfig(), []io.Reader{bytes.NewReader(b)}, passphrase(t, "backup"), passphrase(t, "correct horse"))
	}
	for _, n := range []int{0, backup.Len() / 2, backup.Len() - 1} {
		if _, err := restore(backup.Bytes()[:n]); err == nil {
			t.Errorf("Restore of the first %d of %d bytes succeeded", n, backup.Len())
		}
		if left, _ := os.ReadDir(place); len(left) > 0 {
			t.Errorf("Restore of the first %d of %d bytes left %v", n, backup.Len(), left)
		}
	}
	w, err := restore(backup.Bytes())
	must(t, err)
	closeChecked(t, w)
}

// TestLimitsOfTheProcess: Create and Open report the limits of the process as such, at
// whatever step they are reached.
func TestLimitsOfTheProcess(t *testing.T) {
	if !inChild(t, nobody) {
		return
	}
	signal.Ignore(syscall.SIGXFSZ) // the signal ends a program that does not ignore it
	v, dir := newTestVault(t, testConfig())
	mustKey(t, v.As(DefaultOwner), KeyOptions{Alias: "first"})
	closeChecked(t, v)
	place := t.TempDir()
	for _, limit := range []struct {
		name     string
		resource int
		from, by uint64
		want     string
	}{
		{"descriptors", unix.RLIMIT_NOFILE, 8, 1, "RLIMIT_NOFILE"},
		{"file size", unix.RLIMIT_FSIZE, 0, 512 << 10, "RLIMIT_FSIZE"},
	} {
		var was unix.Rlimit
		must(t, unix.Getrlimit(limit.resource, &was))
		opened := 0
		for n := limit.from; opened < 2 && n < limit.from+100*limit.by; n += limit.by {
			must(t, unix.Setrlimit(limit.resource, &unix.Rlimit{Cur: n, Max: was.Max}))
			one := filepath.Join(place, fmt.Sprint(limit.name, n))
			v, errCreate := Create(t.Context(), one, testConfig(), passphrase(t, "correct horse"))
			w, errOpen := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
			must(t, unix.Setrlimit(limit.resource, &was))
			opened = 0
			for what, err := range map[string]error{"Create": errCreate, "Open": errOpen} {
				if err == nil {
					opened++
					continue
				}
				if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), limit.want) || strings.Contains(err.Error(), "%") {
					t.Errorf("%s with %d %s: %v, want ErrUnavailable that names %s", what, n, limit.name, err, limit.want)
				}
			}
			if _, err := os.Stat(one); errCreate != nil && err == nil {
				t.Errorf("Create with %d %s left something", n, limit.name)
			}
			for _, x := range []*Vault{v, w} {
				if x != nil {
					must(t, x.Close())
				}
			}
		}
		hasKeys(t, "after a shortage of "+limit.name, dir, []string{"first"})
	}
}
