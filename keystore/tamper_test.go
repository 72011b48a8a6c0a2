package keystore_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// keysOf returns the engine keys that start with prefix, in order.
func keysOf(pairs map[string][]byte, prefix string) []string {
	var out []string
	for k := range pairs {
		if strings.HasPrefix(k, prefix) {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// corruptPaths returns the paths for which Get fails with ErrCorrupt. Any other error
// fails the test.
func corruptPaths(t *testing.T, s *keystore.Store) (out []string) {
	t.Helper()
	for _, path := range s.Paths("") {
		_, err := s.Get(t.Context(), path)
		if errors.Is(err, keystore.ErrCorrupt) && strings.Contains(err.Error(), path) {
			out = append(out, path)
		} else if err != nil {
			t.Fatalf("Get %q: %v", path, err)
		}
	}
	return out
}

// small stages two records, a deletion and audit records.
func small(tx *keystore.Tx) error {
	tx.Put("a", []byte("value of a"))
	tx.PutMaterial("b", []byte("value of b"))
	for range 3 {
		tx.Log(func(seq uint64) []byte { return fmt.Appendf(nil, "leaf %d", seq) })
	}
	return nil
}

func createSmall(t *testing.T, cfg keystore.Config) *keystore.Store {
	t.Helper()
	s, err := keystore.Create(t.Context(), cfg, keystore.Root{}, small)
	must(t, err)
	return s
}

// TestEveryFlipIsFoundWhileOpen: an open store detects each changed byte when it reads
// it, and names the record.
func TestEveryFlipIsFoundWhileOpen(t *testing.T) {
	m := storetest.NewMemory()
	s := createSmall(t, config(t, m))
	for key, value := range m.Snapshot() {
		if key == "h" {
			continue
		}
		for i := range value {
			bad := bytes.Clone(value)
			bad[i] ^= 1
			m.Change(key, bad)
			if n := len(corruptPaths(t, s)); key[0] == 'r' && n != 1 || key[0] == 'a' && n != 0 {
				t.Fatalf("byte %d of %x changed: Get finds %d corrupt records", i, key, n)
			}
			_, err := s.LogRecord(t.Context(), 1)
			if errors.Is(err, keystore.ErrCorrupt) != (key[0] == 'a') {
				t.Fatalf("byte %d of %x changed: LogRecord: %v, want ErrCorrupt for a segment only", i, key, err)
			}
			if err := s.Check(t.Context()); !errors.Is(err, keystore.ErrCorrupt) {
				t.Fatalf("byte %d of %x changed: Check: %v, want ErrCorrupt", i, key, err)
			}
		}
		m.Change(key, nil)
		if err := s.Check(t.Context()); !errors.Is(err, keystore.ErrCorrupt) {
			t.Fatalf("%x deleted: Check: %v, want ErrCorrupt", key, err)
		}
		m.Change(key, value)
	}
	checked(t, s)
}

// TestOlderIsFoundWhileOpen: an older version of a record that is put back while the
// store is open is detected when it is read, although it opens under the store's keys.
func TestOlderIsFoundWhileOpen(t *testing.T) {
	m := storetest.NewMemory()
	s := createSmall(t, config(t, m))
	older := m.Snapshot()
	must(t, s.Commit(t.Context(), small))
	good := m.Snapshot()
	for _, key := range keysOf(good, "r") {
		m.Change(key, older[key])
		got := corruptPaths(t, s)
		if len(got) != 1 {
			t.Fatalf("older %x: Get finds the corrupt records %q, want one", key, got)
		}
		err := s.Commit(t.Context(), func(tx *keystore.Tx) error { _, err := tx.Get(got[0]); return err })
		if !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("older %x: Tx.Get: %v, want ErrCorrupt", key, err)
		}
		if err := s.Check(t.Context()); !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("older %x: Check: %v, want ErrCorrupt", key, err)
		}
		m.Change(key, good[key])
	}
	checked(t, s)
}

// TestSwappedIsFound: both of two exchanged records are detected.
func TestSwappedIsFound(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := createSmall(t, cfg)
	must(t, s.Commit(t.Context(), small))
	good := m.Snapshot()
	records, segments := keysOf(good, "r"), keysOf(good, "a")
	m.Change(records[0], good[records[1]])
	m.Change(records[1], good[records[0]])
	if got := corruptPaths(t, s); len(got) != 2 {
		t.Errorf("Get finds the corrupt records %q, want the two that were exchanged", got)
	}
	must(t, s.Close())
	if _, err := reopen(cfg); !errors.Is(err, keystore.ErrCorrupt) {
		t.Errorf("Open with exchanged records: %v, want ErrCorrupt", err)
	}
	m.Restore(good)
	m.Change(segments[0], good[segments[1]])
	m.Change(segments[1], good[segments[0]])
	if _, err := reopen(cfg); !errors.Is(err, keystore.ErrCorrupt) {
		t.Errorf("Open with exchanged segments: %v, want ErrCorrupt", err)
	}
	m.Restore(good)
	s, err := reopen(cfg)
	must(t, err)
	checked(t, s)
}

// TestAddedIsFound: a deleted record that is put back is named by its path, and an audit
// record beyond the end of the log is detected.
func TestAddedIsFound(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := createSmall(t, cfg)
	before := m.Snapshot()
	must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error { tx.Delete("a"); return nil }))
	must(t, s.Close())
	good := m.Snapshot()
	m.Restore(good)
	for key := range before {
		if _, ok := good[key]; !ok {
			m.Change(key, before[key])
		}
	}
	if _, err := reopen(cfg); !errors.Is(err, keystore.ErrCorrupt) || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("Open with a deleted record put back: %v, want ErrCorrupt with its path", err)
	}
	m.Restore(good)
	m.Change("a\xff\x00\x00\x00\x00\x00\x00\x00", good[keysOf(good, "a")[0]])
	if _, err := reopen(cfg); !errors.Is(err, keystore.ErrCorrupt) {
		t.Errorf("Open with a segment beyond the end: %v, want ErrCorrupt", err)
	}
	m.Restore(good)
	s, err := reopen(cfg)
	must(t, err)
	checked(t, s)
}
