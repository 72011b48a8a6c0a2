//go:build linux

package badger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"strongroom.example/internal/testing/smalldisk"
	"strongroom.example/keystore"
)

// fill takes what is left of a disk, in inodes or bytes, and returns what frees it.
func fill(t *testing.T, disk string, inodes bool) (free func()) {
	t.Helper()
	dir := filepath.Join(disk, "fill")
	must(t, os.Mkdir(dir, 0o700))
	size := 1 << 20
	if inodes {
		size = 0
	}
	for n := 0; ; n++ {
		err := os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), make([]byte, size), 0o600)
		if errors.Is(err, unix.ENOSPC) && size <= 4096 {
			break
		}
		if errors.Is(err, unix.ENOSPC) {
			size = 4096
		}
	}
	return func() { must(t, os.RemoveAll(dir)) }
}

// TestFullDisk: with no byte or no inode left, commits go on while the redo log has room
// and then return ErrFull, reading goes on, Close and Open succeed, and commits resume in
// the same store when there is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]string{"bytes": "size=28m", "inodes": "size=200m,nr_inodes=60"} {
		t.Run(name, func(t *testing.T) {
			disk := smalldisk.Tmpfs(t, options)
			cfg := rollbackConfig(filepath.Join(disk, "v"))
			cfg.MinFree = 1
			s, err := keystore.Create(t.Context(), cfg, keystore.Root{}, func(*keystore.Tx) error { return nil })
			must(t, err)
			commit := func(n int) error {
				return s.Commit(t.Context(), func(tx *keystore.Tx) error {
					tx.Put(fmt.Sprint("bulk/", n%15), make([]byte, 30000))
					tx.Put("counter", fmt.Append(nil, n))
					return nil
				})
			}
			n := 1
			for ; n < 200; n++ { // both segments are there
				must(t, commit(n))
			}
			must(t, s.Close())
			s, err = openStore(cfg)
			must(t, err)
			must(t, commit(n))
			free := fill(t, disk, name == "inodes")
			if name == "bytes" {
				s = whileFull(t, cfg, s, n, commit)
			} else {
				s = untilFull(t, cfg, s, &n, commit)
			}
			free()
			for range 400 {
				n++
				must(t, commit(n))
			}
			must(t, s.Check(t.Context()))
			must(t, s.Close())
			s, err = openStore(cfg)
			must(t, err)
			wantCount(t, s, n)
			must(t, s.Close())
		})
	}
}

func wantCount(t *testing.T, s *keystore.Store, n int) {
	t.Helper()
	rec, err := s.Get(t.Context(), "counter")
	if err != nil || string(rec.Value) != fmt.Sprint(n) {
		t.Errorf("the counter is %q, %v; want %d", rec.Value, err, n)
	}
}

// whileFull: no byte is free, and the keystore's watermark refuses commits.
func whileFull(t *testing.T, cfg keystore.Config, s *keystore.Store, n int, commit func(int) error) *keystore.Store {
	t.Helper()
	if err := commit(n + 1); !errors.Is(err, keystore.ErrFull) {
		t.Errorf("Commit on a full disk: %v, want ErrFull", err)
	}
	wantCount(t, s, n)
	must(t, s.Close())
	again, err := openStore(cfg)
	must(t, err)
	wantCount(t, again, n)
	return again
}

// untilFull commits until there is no room in the log and no table can be made.
func untilFull(t *testing.T, cfg keystore.Config, s *keystore.Store, n *int, commit func(int) error) *keystore.Store {
	t.Helper()
	var err error
	for range 1000 {
		if err = commit(*n + 1); err != nil {
			break
		}
		*n++
	}
	if !errors.Is(err, keystore.ErrFull) {
		t.Errorf("Commit without an inode: %v, want ErrFull", err)
	}
	wantCount(t, s, *n)
	must(t, s.Close())
	again, err := openStore(cfg)
	must(t, err)
	wantCount(t, again, *n)
	return again
}

// TestTakenNames: files of others under the names of tables to come are left alone, and
// no table is lost over them.
func TestTakenNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir).(*engine)
	for id := range 12 {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%06d.sst", id)), nil, 0o600))
	}
	want := model{}
	for range 6 {
		b := put(fmt.Sprint("k", len(want)), "v")
		must(t, e.Commit(t.Context(), b))
		want.apply(b)
		must(t, e.turn())
	}
	must(t, e.Close())
	reopened(t, dir, want)
}

// TestNoDescriptors: a store at work needs no descriptor for a commit, and one that can
// make no table goes on when there are descriptors again.
func TestNoDescriptors(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir).(*engine)
	want := model{}
	commit := func() error {
		b := change(16 << 10)
		err := e.Commit(t.Context(), b)
		if err == nil {
			want.apply(b)
		}
		return err
	}
	for range 400 {
		must(t, commit())
	}
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	low := limit
	low.Cur = 3
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	var err error
	for range 1000 {
		if err = commit(); err != nil {
			break
		}
	}
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	if err == nil || errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("Commit without descriptors: %v, want an error of this batch alone", err)
	}
	for range 400 {
		must(t, commit())
	}
	must(t, e.Close())
	reopened(t, dir, want)
}
