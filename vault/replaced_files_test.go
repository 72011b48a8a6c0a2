//go:build unix

package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.example/internal/testing/poll"
)

// A fileFault changes a file of an open vault. older and other are copies of directories:
// of the same vault at an earlier time, and of another vault.
type fileFault struct {
	name string
	do   func(t *testing.T, path, older, other string)
}

var harms = []fileFault{
	{"removed", func(t *testing.T, path, _, _ string) { must(t, os.RemoveAll(path)) }},
	{"moved away", func(t *testing.T, path, _, _ string) { must(t, os.Rename(path, path+".moved")) }},
	{"replaced by an older copy", func(t *testing.T, path, older, _ string) { replaceBy(t, path, older) }},
	{"replaced by another vault's", func(t *testing.T, path, _, other string) { replaceBy(t, path, other) }},
}

// replaceBy replaces path by a copy of the file in another directory that has the same or a
// similar name.
func replaceBy(t *testing.T, path, from string) {
	t.Helper()
	source := filepath.Join(from, filepath.Base(path))
	if filepath.Base(filepath.Dir(path)) == "store" {
		source = filepath.Join(from, "store", filepath.Base(path))
	}
	if _, err := os.Stat(source); err != nil {
		like, _ := filepath.Glob(filepath.Join(filepath.Dir(source), "*"+filepath.Ext(source)))
		if len(like) == 0 {
			t.Fatalf("%s has no file like %s", from, filepath.Base(path))
		}
		source = like[0]
	}
	b, err := os.ReadFile(source)
	must(t, err)
	must(t, os.WriteFile(path+".put", b, 0o600))
	must(t, os.Rename(path+".put", path))
}

// copyDirectory copies a directory in the state in which a killed process leaves it.
func copyDirectory(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "image")
	must(t, os.CopyFS(to, os.DirFS(dir)))
	must(t, os.Chmod(to, 0o700)) // CopyFS gives it 0777 minus the umask
	return to
}

// liveFiles lists the files of a vault's directory by their names in it.
func liveFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	must(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	}))
	return names
}

// replacementFixture holds the directories with which each case begins.
type replacementFixture struct{ template, older, other string }

// newReplacementFixture makes a closed vault that has tables, a copy of it at an earlier
// time, and a copy of another vault.
func newReplacementFixture(t *testing.T) replacementFixture {
	t.Helper()
	v, dir := newTestVault(t, testConfig())
	mustKey(t, v.As(DefaultOwner), KeyOptions{Alias: "first"})
	untilTable(t, v, dir)
	closeChecked(t, v)
	v = reopened(t, dir)
	older := copyDirectory(t, dir)
	mustKey(t, v.As(DefaultOwner), KeyOptions{Alias: "second"})
	closeChecked(t, v)
	w, otherDir := newTestVault(t, testConfig())
	mustKey(t, w.As(DefaultOwner), KeyOptions{Alias: "first"})
	untilTable(t, w, otherDir)
	closeChecked(t, w)
	w = reopened(t, otherDir)
	other := copyDirectory(t, otherDir)
	closeChecked(t, w)
	return replacementFixture{dir, older, other}
}

// untilTable changes a key until the store has a table.
func untilTable(t *testing.T, v *Vault, dir string) {
	t.Helper()
	for n := range 2000 {
		tags := map[string]string{}
		for i := range 40 {
			tags[fmt.Sprint("t", i)] = strings.Repeat(fmt.Sprint(n%10), 250)
		}
		must(t, v.As(DefaultOwner).TagKey(t.Context(), "first", tags))
		if made, err := filepath.Glob(filepath.Join(dir, "store", "*.sst")); err == nil && len(made) > 0 {
			return
		}
	}
	t.Fatal("2,000 changes of 10 KB made no table")
}

// hasKeys opens the vault in dir, and fails the test unless it has each alias.
func hasKeys(t *testing.T, what, dir string, aliases []string) {
	t.Helper()
	v, err := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		t.Errorf("%s: Open: %v, want a vault", what, err)
		return
	}
	for _, alias := range aliases {
		if _, err := v.As(DefaultOwner).DescribeKey(t.Context(), alias); err != nil {
			t.Errorf("%s: DescribeKey(%q), which was acknowledged: %v", what, alias, err)
		}
	}
	closeChecked(t, v)
}

// TestFileReplacedUnderOpenVault: whatever happens to a file of an open vault, an operation
// is acknowledged only if its effect remains after a Close and after a kill. Earlier
// acknowledged operations remain, and both directories open. A foreign file in the place of
// the vault's file is not destroyed.
func TestFileReplacedUnderOpenVault(t *testing.T) {
	t.Parallel()
	s := newReplacementFixture(t)
	probe := copyDirectory(t, s.template)
	v := reopened(t, probe)
	names := liveFiles(t, probe)
	closeChecked(t, v)
	if len(names) < 9 {
		t.Fatalf("a live vault has the files %q, want 9 or more", names)
	}
	for _, name := range names {
		for _, h := range harms {
			t.Run(name+" "+h.name, func(t *testing.T) {
				dir := copyDirectory(t, s.template)
				v := reopened(t, dir)
				c, acked := v.As(DefaultOwner), []string{"first", "second", "before"}
				mustKey(t, c, KeyOptions{Alias: "before"})
				path := filepath.Join(dir, name)
				if _, err := os.Lstat(path); err != nil {
					names := liveFiles(t, dir)
					t.Fatalf("there is no %s, but %q", name, names)
				}
				h.do(t, path, s.older, s.other)
				_, err := c.CreateKey(t.Context(), KeyOptions{Alias: "after"})
				if err == nil {
					acked = append(acked, "after")
				} else if !errors.Is(err, ErrReplaced) || !errors.Is(err, ErrUnavailable) {
					t.Errorf("CreateKey: %v, want nil or ErrReplaced", err)
				}
				if err != nil && !strings.Contains(err.Error(), path) {
					t.Errorf("CreateKey: %v, want the path %s in it", err, path)
				}
				killed := copyDirectory(t, dir)
				if err := v.Close(); err != nil && !errors.Is(err, ErrReplaced) {
					t.Errorf("Close: %v, want nil or ErrReplaced", err)
				}
				hasKeys(t, "after a kill", killed, acked)
				hasKeys(t, "after Close", dir, acked)
			})
		}
	}
}

// TestDirectoryReplacedUnderOpenVault: a vault does not write to a directory that replaced
// its own, not even during Close, and remains complete at the place to which it was moved.
func TestDirectoryReplacedUnderOpenVault(t *testing.T) {
	t.Parallel()
	s := newReplacementFixture(t)
	put := func(t *testing.T, from, to string) {
		must(t, os.CopyFS(to, os.DirFS(from)))
		must(t, os.Chmod(to, 0o700))
	}
	for _, row := range []struct {
		name string
		do   func(t *testing.T, dir, aside string)
	}{
		{"moved away", func(t *testing.T, dir, aside string) { must(t, os.Rename(dir, aside)) }},
		{"exchanged for a backup", func(t *testing.T, dir, aside string) {
			must(t, os.Rename(dir, aside))
			put(t, s.older, dir)
		}},
		{"exchanged for another vault", func(t *testing.T, dir, aside string) {
			must(t, os.Rename(dir, aside))
			put(t, s.other, dir)
		}},
		{"exchanged for a link", func(t *testing.T, dir, aside string) {
			must(t, os.Rename(dir, aside))
			put(t, s.older, aside+".backup")
			must(t, os.Symlink(aside+".backup", dir))
		}},
		{"the engine's moved away", func(t *testing.T, dir, aside string) {
			must(t, os.Rename(filepath.Join(dir, "store"), aside+".store"))
		}},
		{"the engine's exchanged", func(t *testing.T, dir, aside string) {
			must(t, os.Rename(filepath.Join(dir, "store"), aside+".store"))
			put(t, filepath.Join(s.older, "store"), filepath.Join(dir, "store"))
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := copyDirectory(t, s.template)
			aside := dir + ".aside"
			v := reopened(t, dir)
			c := v.As(DefaultOwner)
			mustKey(t, c, KeyOptions{Alias: "before"})
			row.do(t, dir, aside)
			var planted map[string][32]byte
			there, err := filepath.EvalSymlinks(dir)
			if err == nil {
				planted = digests(t, there)
			}
			if _, err := c.CreateKey(t.Context(), KeyOptions{Alias: "after"}); !errors.Is(err, ErrReplaced) {
				t.Errorf("CreateKey: %v, want ErrReplaced", err)
			}
			if err := c.Check(t.Context()); !errors.Is(err, ErrReplaced) {
				t.Errorf("Check: %v, want ErrReplaced", err)
			}
			whole := aside
			if _, err := os.Stat(aside + ".store"); err == nil {
				whole = dir
			}
			gather := func() string { // moves the vault's own files into one directory
				if whole == dir {
					os.Rename(filepath.Join(dir, "store"), aside+".planted")
					put(t, aside+".store", filepath.Join(dir, "store"))
				}
				return copyDirectory(t, whole)
			}
			if whole == aside {
				hasKeys(t, "after a kill", gather(), []string{"first", "second", "before"})
			}
			if err := v.Close(); err != nil && !errors.Is(err, ErrReplaced) {
				t.Errorf("Close: %v, want nil or ErrReplaced", err)
			}
			if planted != nil && whole == aside {
				for path, sum := range digests(t, there) {
					if planted[path] != sum {
						t.Errorf("%s, which is not of the vault, was changed", path)
					}
				}
				hasKeysOr(t, dir)
			}
			hasKeys(t, "after Close", gather(), []string{"first", "second", "before"})
		})
	}
}

// hasKeysOr opens the directory that replaced that of a vault, whichever vault it holds.
func hasKeysOr(t *testing.T, dir string) {
	t.Helper()
	v := reopened(t, dir)
	closeChecked(t, v)
}

// TestIdleVaultNoticesReplacement: a vault without operations detects a replacement within
// about a second.
func TestIdleVaultNoticesReplacement(t *testing.T) {
	t.Parallel()
	s := newReplacementFixture(t)
	dir := copyDirectory(t, s.template)
	v := reopened(t, dir)
	must(t, os.Remove(filepath.Join(dir, "tip")))
	poll.Until(t, "the vault writes the tip again", func() bool {
		_, err := os.Stat(filepath.Join(dir, "tip"))
		return err == nil
	})
	killed := copyDirectory(t, dir)
	v.Close()
	hasKeys(t, "after a kill", killed, []string{"first", "second"})
}

// TestRelativeDirectory: a relative directory is resolved at the time of Create or Open.
func TestRelativeDirectory(t *testing.T) {
	place, elsewhere := t.TempDir(), t.TempDir()
	t.Chdir(elsewhere)
	v, err := Create(t.Context(), "keys", testConfig(), passphrase(t, "correct horse"))
	must(t, err)
	mustKey(t, v.As(DefaultOwner), KeyOptions{Alias: "elsewhere"})
	closeChecked(t, v)
	t.Chdir(place)
	v, err = Create(t.Context(), "keys", testConfig(), passphrase(t, "correct horse"))
	must(t, err)
	closeChecked(t, v)
	v = reopened(t, "keys")
	t.Chdir(elsewhere)
	c := v.As(DefaultOwner)
	mustKey(t, c, KeyOptions{Alias: "here"})
	must(t, c.RotateRoot(t.Context(), passphrase(t, "correct horse")))
	closeChecked(t, v)
	hasKeys(t, "where it was opened", filepath.Join(place, "keys"), []string{"here"})
	hasKeys(t, "where the program went", filepath.Join(elsewhere, "keys"), []string{"elsewhere"})
}
