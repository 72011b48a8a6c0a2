package keystore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// withJournal returns a closed store of several commits, its engine and the path of its
// journal.
func withJournal(t *testing.T) (keystore.Config, *storetest.Memory, string) {
	t.Helper()
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := createSmall(t, cfg)
	for n := range 5 {
		must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error {
			tx.Put(fmt.Sprint("record ", n), bytes.Repeat([]byte{byte(n)}, 300))
			tx.Put("log/side", []byte{byte(n)}) // belongs to the log
			tx.Log(func(uint64) []byte { return []byte("leaf") })
			return nil
		}))
	}
	must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error { tx.Delete("record 1"); return nil }))
	must(t, s.Close())
	return cfg, m, filepath.Join(cfg.Dir, keystore.JournalFile)
}

// healed opens the store, checks all of it, and returns the faults that Open recorded.
func healed(t *testing.T, cfg keystore.Config) (faults []keystore.FileFault) {
	t.Helper()
	cfg.Healed = func(_ *keystore.Tx, f []keystore.FileFault) { faults = append(faults, f...) }
	s, err := reopen(cfg)
	must(t, err)
	checked(t, s)
	return faults
}

// TestJournalIsHealed: a journal that is missing, cut, empty or of an earlier moment is
// recorded and written again from the engine.
func TestJournalIsHealed(t *testing.T) {
	cfg, m, path := withJournal(t)
	older := read(t, path)
	s, err := reopen(cfg)
	must(t, err)
	must(t, s.Commit(t.Context(), small))
	must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error {
		tx.Log(func(uint64) []byte { return []byte("leaf") })
		return nil
	}))
	must(t, s.Close())
	newest := read(t, path)
	tip, engine := read(t, filepath.Join(cfg.Dir, "tip")), m.Snapshot()
	for name, b := range map[string][]byte{
		keystore.FaultMissing: nil, keystore.FaultOlder: older, keystore.FaultDamaged: append(bytes.Clone(newest[:60]), make([]byte, 1000)...),
	} {
		m.Restore(engine)
		write(t, filepath.Join(cfg.Dir, "tip"), tip)
		if b == nil {
			must(t, os.Remove(path))
		} else {
			write(t, path, b)
		}
		want := keystore.FileFault{File: keystore.JournalFile, Fault: name}
		if name == keystore.FaultDamaged {
			want.Fault = keystore.FaultOlder // what is left is whole, and ends too early
		}
		if got := healed(t, cfg); len(got) != 1 || got[0] != want {
			t.Errorf("a journal that is %s: Open recorded %v, want %v", name, got, want)
		}
		if got := healed(t, cfg); len(got) > 0 {
			t.Errorf("a journal that was %s: the second Open recorded %v, want nothing", name, got)
		}
	}
}

// TestEveryFlipInTheJournalIsFound: Check finds each changed byte of the journal's
// entries, writes the journal again, and the next Check passes.
func TestEveryFlipInTheJournalIsFound(t *testing.T) {
	cfg, _, path := withJournal(t)
	s, err := reopen(cfg)
	must(t, err)
	good := read(t, path)
	end := len(bytes.TrimRight(good, "\x00"))
	for at := 0; at < end; at += 7 {
		now := read(t, path)
		now[at] ^= 1
		write(t, path, now)
		if err := s.Check(t.Context()); !errors.Is(err, keystore.ErrCorrupt) {
			t.Fatalf("byte %d of the journal changed: Check: %v, want ErrCorrupt", at, err)
		}
		must(t, s.Check(t.Context()))
		end = min(end, len(bytes.TrimRight(read(t, path), "\x00")))
	}
	must(t, s.Close())
	if got := healed(t, cfg); len(got) > 0 {
		t.Errorf("Open recorded %v, want nothing", got)
	}
}

// TestJournalAheadIsARollback: an engine and a tip of an earlier moment beside the newest
// journal are a rollback.
func TestJournalAheadIsARollback(t *testing.T) {
	cfg, m, _ := withJournal(t)
	engine, tip := m.Snapshot(), read(t, filepath.Join(cfg.Dir, "tip"))
	for n := range 2 {
		s, err := reopen(cfg)
		must(t, err)
		must(t, s.Commit(t.Context(), small))
		if n == 1 { // the journal was written again since
			must(t, os.Remove(filepath.Join(cfg.Dir, keystore.JournalFile)))
			must(t, s.Close())
			healed(t, cfg)
		} else {
			must(t, s.Close())
		}
		newest, newestTip := m.Snapshot(), read(t, filepath.Join(cfg.Dir, "tip"))
		m.Restore(engine)
		write(t, filepath.Join(cfg.Dir, "tip"), tip)
		if _, err := reopen(cfg); !errors.Is(err, keystore.ErrRolledBack) {
			t.Errorf("round %d: Open: %v, want ErrRolledBack", n, err)
		}
		m.Restore(newest)
		write(t, filepath.Join(cfg.Dir, "tip"), newestTip)
	}
}

// TestJournalIsCompacted: the journal stays below three times its live size, with some
// room, however often a record changes.
func TestJournalIsCompacted(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := createSmall(t, cfg)
	for range 200 {
		must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error {
			tx.Put("large", make([]byte, 30000))
			return nil
		}))
	}
	if size := len(read(t, filepath.Join(cfg.Dir, keystore.JournalFile))); size > 2<<20 {
		t.Errorf("the journal has %d bytes after 200 changes of one record of 30,000, want at most 2 MiB", size)
	}
	checked(t, s)
	if got := healed(t, cfg); len(got) > 0 {
		t.Errorf("Open recorded %v, want nothing", got)
	}
}

// TestAuditRecordsAreNotJournaled: a commit of audit records alone does not change the
// journal.
func TestAuditRecordsAreNotJournaled(t *testing.T) {
	cfg, _, path := withJournal(t)
	s, err := reopen(cfg)
	must(t, err)
	before := read(t, path)
	for range 10 {
		must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error {
			tx.Log(func(uint64) []byte { return []byte("leaf") })
			return nil
		}))
	}
	if !bytes.Equal(before, read(t, path)) {
		t.Error("commits of audit records changed the journal")
	}
	checked(t, s)
}
