package keystore_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// withoutDescriptors lets this process open nothing more until the returned function is
// called.
func withoutDescriptors(t *testing.T) (restore func()) {
	t.Helper()
	var was unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	low := was
	low.Cur = min(was.Cur, 256)
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	var held []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, unix.EMFILE) {
			break
		}
		must(t, err)
		held = append(held, f)
	}
	return func() {
		for _, f := range held {
			f.Close()
		}
		must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was))
	}
}

// TestNoDescriptorsDuringReplacement: from any step of a replacement of the root file on,
// the process can open nothing until the call returns. The call succeeds or fails alone,
// and a replaced root file is overwritten although that was not possible at first.
func TestNoDescriptorsDuringReplacement(t *testing.T) {
	for step, inForce := range map[string]bool{
		"root.next": false, "root new": false, "root.copy new": false, "commit": true, "tip": true, "root aside": true,
		"root sync": true, "root erase": true, "root.copy aside": true, "root.copy erase": true, "drop root.next": true,
	} {
		cfg := config(t, storetest.NewMemory())
		var restore func()
		failing := cfg
		armed := false
		failing.SetStep(func(at string) error {
			if armed && at == step {
				armed = false
				restore = withoutDescriptors(t)
			}
			return nil
		})
		s := withMaterial(t, failing, 5)
		old := []*os.File{held(t, filepath.Join(cfg.Dir, "root")), held(t, filepath.Join(cfg.Dir, "root.copy"))}
		armed = true
		err := s.ReplaceProtectors(context.Background(), []keystore.Protector{{ID: "new"}}, nil)
		if restore == nil {
			t.Fatalf("no step is called %q", step)
		}
		restore()
		if got := len(s.Root().Protectors) == 1; got != inForce || (err == nil || errors.Is(err, keystore.ErrUnfinished)) != inForce {
			t.Errorf("no descriptors from %q: replaced %v, error %v; want replaced %v", step, got, err, inForce)
		}
		goesOn(t, s, "no descriptors from "+step, err)
		for _, f := range old {
			if b := readHeld(t, f); inForce && !bytes.Equal(b, make([]byte, len(b))) {
				t.Errorf("no descriptors from %q: the old %s still has its bytes", step, filepath.Base(f.Name()))
			}
		}
		again, err := reopen(cfg)
		must(t, err)
		if got := len(again.Root().Protectors) == 1; got != inForce {
			t.Errorf("no descriptors from %q: reopened: replaced %v, want %v", step, got, inForce)
		}
		checked(t, again)
	}
}

// TestLeftoverWithoutDescriptors: a root.next that a killed process left keeps its name
// while it cannot be overwritten, and is overwritten by the next replacement.
func TestLeftoverWithoutDescriptors(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	failing := cfg
	var restore func()
	failing.SetStep(func(at string) error {
		if at == "root.next" && restore == nil {
			restore = withoutDescriptors(t)
		}
		return nil
	})
	s := create(t, failing)
	path := filepath.Join(cfg.Dir, "root.next")
	write(t, path, read(t, filepath.Join(cfg.Dir, "root")))
	left := held(t, path)
	err := s.ReplaceProtectors(t.Context(), nil, nil)
	restore()
	if err == nil {
		t.Error("ReplaceProtectors without descriptors returned nil")
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the leftover lost its name before it was overwritten: %v", err)
	}
	must(t, s.ReplaceProtectors(t.Context(), nil, nil))
	if b := readHeld(t, left); len(b) == 0 || !bytes.Equal(b, make([]byte, len(b))) {
		t.Error("the leftover still has its bytes")
	}
	checked(t, s)
}

// TestCommitBesideAForeignFile: a batch that is durable is acknowledged although the
// directory, which is looked at after it, has a file that the store may not change. Check
// reports that.
func TestCommitBesideAForeignFile(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI must run the tests as root")
		}
		t.Skip("giving a file to another user needs root")
	}
	cfg := config(t, storetest.NewMemory())
	s := create(t, cfg)
	path := filepath.Join(cfg.Dir, "store", "other")
	write(t, path, nil)
	must(t, os.Chown(path, 1, 1))
	err := s.Commit(t.Context(), func(tx *keystore.Tx) error { tx.Put("k", []byte("v")); return nil })
	if err != nil || s.Version("k") == 0 {
		t.Errorf("Commit returned %v, version %d; want nil and a version", err, s.Version("k"))
	}
	if err := s.Check(t.Context()); !errors.Is(err, keystore.ErrDirectory) {
		t.Errorf("Check returned %v, want ErrDirectory", err)
	}
	must(t, os.Remove(path))
	checked(t, s)
}
