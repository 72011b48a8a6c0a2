package directory_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"strongroom.example/keystore/internal/directory"
	"strongroom.example/keystore/internal/fault"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *directory.Dir {
	t.Helper()
	d, err := directory.Open(path)
	must(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

// names lists what is in a directory.
func names(t *testing.T, d *directory.Dir) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(d.Path())
	must(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// TestFiles writes, reads, renames and removes files. Absent files are not errors.
func TestFiles(t *testing.T) {
	d := open(t, t.TempDir())
	must(t, d.WriteSynced("a", []byte("first")))
	must(t, d.WriteSynced("a", []byte("second")))
	if b, err := d.Read("a"); err != nil || string(b) != "second" {
		t.Errorf("Read: %q, %v, want what was written last", b, err)
	}
	if b, err := d.ReadBounded("a", 2); err != nil || string(b) != "sec" {
		t.Errorf("ReadBounded with a limit of 2: %q, %v, want one byte more", b, err)
	}
	if b, err := d.Read("absent"); err != nil || b != nil {
		t.Errorf("Read of an absent file: %q, %v, want nil", b, err)
	}
	if _, err := d.Create("a"); !errors.Is(err, os.ErrExist) {
		t.Errorf("Create of a file that is there: %v, want ErrExist", err)
	}
	must(t, errors.Join(d.RenameIfThere("absent", "b"), d.Remove("absent"), d.Erase("absent"), d.SetAside("absent")))
	must(t, errors.Join(d.RenameIfThere("a", "b"), d.Make("sub"), d.Make("sub"), d.Sync()))
	if got := names(t, d); !slices.Equal(got, []string{"b", "sub"}) {
		t.Errorf("the directory has %q, want b and sub", got)
	}
}

// TestSetAside keeps every file under a name of its own.
func TestSetAside(t *testing.T) {
	d := open(t, t.TempDir())
	for _, content := range []string{"1", "2"} {
		must(t, d.WriteSynced("a", []byte(content)))
		if name, err := d.SetAsideAs("a"); err != nil || name != "a.aside"+content {
			t.Errorf("SetAsideAs: %q, %v, want a.aside%s", name, err, content)
		}
	}
	if b, err := d.Read("a.aside1"); err != nil || string(b) != "1" {
		t.Errorf("the first file set aside has %q, %v, want 1", b, err)
	}
}

// TestErase overwrites a file, which an open handle shows, unless it has another name.
func TestErase(t *testing.T) {
	secret := []byte("a secret")
	for _, linked := range []bool{false, true} {
		d := open(t, t.TempDir())
		must(t, d.WriteSynced("a", secret))
		want := make([]byte, len(secret))
		if linked {
			if err := os.Link(d.Join("a"), d.Join("b")); err != nil {
				t.Logf("this file system has no hard links: %v", err)
				continue
			}
			want = secret
		}
		f, err := d.OpenFile("a", os.O_RDONLY)
		must(t, err)
		must(t, d.Erase("a"))
		got := make([]byte, len(secret))
		_, err = f.ReadAt(got, 0)
		must(t, errors.Join(err, f.Close()))
		if d.Exists("a") || !bytes.Equal(got, want) {
			t.Errorf("Erase of a file with another name %v: it is there %v and has %q, want %q", linked, d.Exists("a"), got, want)
		}
	}
}

// TestReplaced finds a file and a directory that another one has taken the place of.
func TestReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	must(t, os.Mkdir(path, 0o700))
	d := open(t, path)
	f, err := d.Create("a")
	must(t, err)
	t.Cleanup(func() { f.Close() })
	must(t, errors.Join(d.IsHere(), d.IsAt("a", f)))
	must(t, errors.Join(d.Rename("a", "b"), d.IsAt("b", f)))
	if err := d.IsAt("a", f); !errors.Is(err, fault.ErrReplaced) {
		t.Errorf("IsAt of a name that is gone: %v, want ErrReplaced", err)
	}
	must(t, d.WriteAgain("a", &f))
	must(t, d.IsAt("a", f))
	must(t, os.Rename(path, path+".moved"))
	if err := d.IsHere(); !errors.Is(err, fault.ErrReplaced) {
		t.Errorf("IsHere after the directory was moved: %v, want ErrReplaced", err)
	}
	must(t, os.Mkdir(path, 0o700))
	if err := d.IsHere(); !errors.Is(err, fault.ErrReplaced) {
		t.Errorf("IsHere with another directory at the path: %v, want ErrReplaced", err)
	}
	must(t, d.IsAt("a", f)) // the handle still reaches its directory
}

// TestOpenFileRefusesLinks opens regular files only.
func TestOpenFileRefusesLinks(t *testing.T) {
	d := open(t, t.TempDir())
	must(t, d.WriteSynced("a", nil))
	must(t, d.Make("sub"))
	must(t, os.Symlink("a", d.Join("link")))
	for _, name := range []string{"link", "sub"} {
		if _, err := d.OpenFile(name, os.O_RDONLY); !errors.Is(err, fault.ErrDirectory) {
			t.Errorf("OpenFile of %s: %v, want ErrDirectory", name, err)
		}
	}
	if _, err := directory.Open(d.Join("absent")); !errors.Is(err, fault.ErrNoStore) {
		t.Errorf("Open of an absent directory: %v, want ErrNoStore", err)
	}
}
