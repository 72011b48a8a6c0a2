package keystore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

func TestTipDamage(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := createSmall(t, cfg)
	path := filepath.Join(cfg.Dir, "tip")
	must(t, s.Commit(t.Context(), small))
	older, olderTip := m.Snapshot(), read(t, path)
	must(t, s.Commit(t.Context(), small))
	must(t, s.Close())
	good := read(t, path)
	flip := func(at ...int) []byte {
		b := bytes.Clone(good)
		for _, i := range at {
			b[i] ^= 1
		}
		return b
	}
	for name, c := range map[string]struct {
		tip  []byte
		want error
	}{
		"first slot":        {flip(20), nil},
		"second slot":       {flip(4096 + 20), nil},
		"both slots":        {flip(20, 4096+20), keystore.ErrCorrupt},
		"bytes of no slot":  {flip(200, 4000, 8000), nil},
		"slots swapped":     {append(bytes.Clone(good[4096:]), good[:4096]...), nil},
		"cut in the second": {good[:4100], nil},
		"longer":            {append(bytes.Clone(good), 1, 2, 3), nil},
		"cut in the first":  {good[:50], keystore.ErrCorrupt},
		"empty":             {good[:0], keystore.ErrCorrupt},
		"zero":              {make([]byte, len(good)), keystore.ErrCorrupt},
		"older":             {olderTip, nil}, // as after a crash: the store is newer
	} {
		write(t, path, c.tip)
		s, err := reopen(cfg)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			checked(t, s)
		}
	}
	must(t, os.Remove(path))
	if _, err := reopen(cfg); !errors.Is(err, keystore.ErrCorrupt) {
		t.Errorf("Open without a tip file: %v, want ErrCorrupt", err)
	}
	write(t, path, good)
	now := m.Snapshot()
	m.Restore(older)
	if _, err := reopen(cfg); !errors.Is(err, keystore.ErrRolledBack) {
		t.Errorf("Open of an older store: %v, want ErrRolledBack", err)
	}
	m.Restore(now)
	s, err := reopen(cfg)
	must(t, err)
	checked(t, s)
}

// TestOtherHistoryIsFound: a store that continued differently from the same generation is
// detected by the tip.
func TestOtherHistoryIsFound(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := createSmall(t, cfg)
	must(t, s.Close())
	path := filepath.Join(cfg.Dir, "tip")
	journal := filepath.Join(cfg.Dir, "journal")
	fork, tip, entries := m.Snapshot(), read(t, path), read(t, journal)
	oneMore := func() {
		s, err := reopen(cfg)
		must(t, err)
		must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error {
			tx.Log(func(uint64) []byte { return []byte("another leaf") })
			tx.Put("a", []byte("other"))
			return nil
		}))
		must(t, s.Close())
	}
	oneMore()
	seen := read(t, path)
	m.Restore(fork)
	write(t, path, tip)
	write(t, journal, entries)
	s, err := reopen(cfg)
	must(t, err)
	must(t, s.Commit(t.Context(), small))
	must(t, s.Close())
	mine := read(t, path)
	write(t, path, seen)
	if _, err := reopen(cfg); !errors.Is(err, keystore.ErrRolledBack) {
		t.Errorf("Open with the tip of another history: %v, want ErrRolledBack", err)
	}
	write(t, path, mine)
	s, err = reopen(cfg)
	must(t, err)
	checked(t, s)
}
