package badger

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"strongroom.example/keystore"
)

// counting is an Appender that counts only.
type counting struct{}

func (counting) Extend(from keystore.LogState, leaves [][]byte) (keystore.Extension, error) {
	from.Size += uint64(len(leaves))
	return keystore.Extension{State: from}, nil
}

func storeConfig(dir string) keystore.Config {
	return keystore.Config{Dir: dir, Suite: keystore.SuiteAES, Root: bytes.Repeat([]byte{7}, 32), OpenEngine: Open, Log: counting{}}
}

func openStore(cfg keystore.Config) (*keystore.Store, error) {
	root, err := keystore.ReadRoot(cfg.Dir)
	if err != nil {
		return nil, err
	}
	return keystore.Open(context.Background(), cfg, root)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keys makes a store with n keys: a record of their state and their material.
func keys(t testing.TB, cfg keystore.Config, n, size int) *keystore.Store {
	t.Helper()
	s, err := keystore.Create(context.Background(), cfg, keystore.Root{}, func(tx *keystore.Tx) error {
		tx.PutMaterial("m/due", []byte("to be destroyed"))
		tx.Log(func(uint64) []byte { return []byte("made") })
		return nil
	})
	must(t, err)
	material := make([]byte, size)
	for i := 0; i < n; i += 250 {
		must(t, s.Commit(context.Background(), func(tx *keystore.Tx) error {
			for k := i; k < min(i+250, n); k++ {
				rand.Read(material)
				tx.Put(fmt.Sprintf("k/%05d", k), []byte("state"))
				tx.PutMaterial(fmt.Sprintf("m/%05d", k), append(fmt.Appendf(nil, "%05d", k), material...))
			}
			return nil
		}))
	}
	return s
}

func destroy(tx *keystore.Tx) error {
	tx.Delete("m/due")
	tx.Log(func(uint64) []byte { return []byte("destroyed") })
	return nil
}

// On the real engine: readers and writers go on while the epoch changes, nothing
// that remains is lost, and an older copy of the engine's files, put beside the
// present root file, is refused and opens nothing.
func TestEpochChange(t *testing.T) {
	t.Parallel()
	const n = 2000
	cfg := storeConfig(t.TempDir())
	s := keys(t, cfg, n, 200)
	must(t, s.Close())
	old := t.TempDir()
	must(t, os.CopyFS(filepath.Join(old, "store"), os.DirFS(filepath.Join(cfg.Dir, "store"))))
	s, err := openStore(cfg)
	must(t, err)
	stop := make(chan bool)
	var users sync.WaitGroup
	users.Go(func() { readAll(t, s, n, stop) })
	users.Go(func() { commitOften(t, s, stop) })
	for range 2 {
		must(t, s.ChangeEpoch(t.Context(), destroy))
	}
	close(stop)
	users.Wait()
	must(t, s.Check(t.Context()))
	must(t, s.Close())
	s, err = openStore(cfg)
	must(t, err)
	readOnce(t, s, n)
	if _, err := s.Get(t.Context(), "m/due"); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("the destroyed record: %v", err)
	}
	must(t, s.Check(t.Context()))
	must(t, s.Close())

	must(t, os.RemoveAll(filepath.Join(cfg.Dir, "store")))
	must(t, os.CopyFS(filepath.Join(cfg.Dir, "store"), os.DirFS(filepath.Join(old, "store"))))
	if _, err := openStore(cfg); !errors.Is(err, keystore.ErrRolledBack) {
		t.Errorf("the old engine: %v", err)
	}
}

// readOnce reads the material of n keys.
func readOnce(t *testing.T, s *keystore.Store, n int) {
	for k := range n {
		path := fmt.Sprintf("m/%05d", k)
		if rec, err := s.Get(context.Background(), path); err != nil || string(rec.Value[:5]) != path[2:] {
			t.Errorf("%s: %v", path, err)
			return
		}
	}
}

func readAll(t *testing.T, s *keystore.Store, n int, stop chan bool) {
	for {
		readOnce(t, s, n)
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// commitOften changes a record and a material until stop.
func commitOften(t *testing.T, s *keystore.Store, stop chan bool) {
	for i := 0; ; i++ {
		err := s.Commit(context.Background(), func(tx *keystore.Tx) error {
			tx.Put("counter", fmt.Append(nil, i))
			tx.PutMaterial(fmt.Sprintf("new/%d", i%50), fmt.Append(nil, i))
			return nil
		})
		if err != nil {
			t.Error(err)
			return
		}
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// BenchmarkChangeEpoch destroys one material among 10,000 of 300 bytes, and tells
// how long an ordinary commit waited at most meanwhile.
func BenchmarkChangeEpoch(b *testing.B) {
	s := keys(b, storeConfig(b.TempDir()), 10_000, 300)
	stop, worst := make(chan bool), make(chan time.Duration)
	go func() {
		var longest time.Duration
		for {
			start := time.Now()
			if err := s.Commit(context.Background(), func(tx *keystore.Tx) error { tx.Put("counter", []byte("x")); return nil }); err != nil {
				b.Error(err)
			}
			longest = max(longest, time.Since(start))
			select {
			case <-stop:
				worst <- longest
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	for b.Loop() {
		must(b, s.ChangeEpoch(b.Context(), destroy))
	}
	close(stop)
	b.ReportMetric(float64((<-worst).Microseconds())/1000, "worst-commit-ms")
	must(b, s.Check(context.Background()))
	must(b, s.Close())
}
