package keystore_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// logged appends records to the log, several to a segment.
func logged(t *testing.T, s *keystore.Store, n int) {
	t.Helper()
	must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error {
		for range n {
			tx.Log(func(seq uint64) []byte { return fmt.Appendf(nil, `{"seq":%d,"text":"a record"}`, seq) })
		}
		return nil
	}))
}

// cut removes the records before n, and appends one.
func cut(ctx context.Context, s *keystore.Store, n uint64) error {
	at, err := s.LogStateAt(ctx, n)
	if err != nil {
		return err
	}
	if err := s.CutLog(ctx, at, logRestore); err != nil {
		return err
	}
	return s.TrimLog(ctx)
}

// wantCut checks that a log has the records of full from n on and no others, and that
// none is stored.
func wantCut(t *testing.T, s *keystore.Store, m *storetest.Memory, full map[uint64]string, n uint64) {
	t.Helper()
	if first := s.LogFirst().Size; first != n {
		t.Fatalf("the log begins with record %d, want %d", first, n)
	}
	for seq, leaf := range full {
		got, err := s.LogRecord(t.Context(), seq)
		if seq < n && !errors.Is(err, keystore.ErrCut) || seq >= n && (err != nil || string(got) != leaf) {
			t.Errorf("record %d of a log cut at %d: %q, %v", seq, n, got, err)
		}
		if _, err := s.LogStateAt(t.Context(), seq); (seq < n) != errors.Is(err, keystore.ErrCut) {
			t.Errorf("LogStateAt %d of a log cut at %d: %v", seq, n, err)
		}
	}
	for key, value := range m.Snapshot() {
		if key[0] != 'a' {
			continue
		}
		last, first := binary.BigEndian.Uint64([]byte(key[1:])), binary.BigEndian.Uint64(value[7:])
		if first < n || last < n {
			t.Errorf("a segment with records %d to %d is stored after a cut at %d", first, last, n)
		}
	}
}

func leavesOf(t *testing.T, s *keystore.Store) map[uint64]string {
	t.Helper()
	all := map[uint64]string{}
	for e, err := range s.LogRange(t.Context(), s.LogFirst().Size, s.LogState().Size) {
		must(t, err)
		all[e.Seq] = string(e.Leaf)
	}
	return all
}

// TestCutLog cuts a log at each record in turn. What is left reads and checks, before and
// after the store was closed, after a new root, and in a restored store.
func TestCutLog(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := create(t, cfg)
	for range 3 {
		logged(t, s, 5)
	}
	full := leavesOf(t, s)
	for n := uint64(1); n <= uint64(len(full)); n++ {
		must(t, cut(t.Context(), s, n))
		wantCut(t, s, m, full, n)
		must(t, s.Check(t.Context()))
		saved, _ := snapshot(t, s, keystore.Position{})
		r, err := restored(t, saved)
		must(t, err)
		if r.LogFirst().Size != n {
			t.Errorf("a restored log begins with record %d, want %d", r.LogFirst().Size, n)
		}
		checked(t, r)
		if n%4 == 0 {
			must(t, s.Rekey(t.Context(), keystore.Rekeying{Root: bytes.Repeat([]byte{byte(n)}, 32), Op: logRestore}))
			cfg.Root = bytes.Repeat([]byte{byte(n)}, 32)
		}
		must(t, s.Close())
		s, err = reopen(cfg)
		must(t, err)
		wantCut(t, s, m, full, n)
	}
	for n, want := range map[uint64]error{3: keystore.ErrCut, s.LogFirst().Size: keystore.ErrConflict, 1 << 40: keystore.ErrNotFound} {
		if err := cut(t.Context(), s, n); !errors.Is(err, want) {
			t.Errorf("a cut at record %d of a log from %d: %v, want %v", n, s.LogFirst().Size, err, want)
		}
	}
	checked(t, s)
}

// TestCutAndSnapshots restores sequences of snapshots with a cut between them or while
// one of them is written.
func TestCutAndSnapshots(t *testing.T) {
	for _, n := range []uint64{1, 3, 5, 6, 8, 11, 12, 15} {
		for _, when := range []string{"between", "during the first", "during the second"} {
			m := storetest.NewMemory()
			s := create(t, config(t, m))
			logged(t, s, 4)
			logged(t, s, 4)
			cutAt := func() {
				if err := cut(context.Background(), s, n); err != nil {
					t.Errorf("cut at %d %s: %v", n, when, err)
				}
			}
			var chain [][]byte
			var at keystore.Position
			for i, during := range []string{"during the first", "during the second"} {
				logged(t, s, 4)
				logged(t, s, 4)
				if when == "between" && i == 1 {
					cutAt()
				}
				out := &hooked{}
				if when == during {
					out.hook = cutAt
				}
				next, err := s.Snapshot(t.Context(), out, at)
				if err != nil {
					t.Fatalf("Snapshot with a cut at %d %s: %v", n, when, err)
				}
				chain, at = append(chain, out.Bytes()), next
			}
			rm := storetest.NewMemory()
			cfg := config(t, rm)
			var readers []io.Reader
			for _, b := range chain {
				readers = append(readers, bytes.NewReader(b))
			}
			r, err := keystore.Restore(t.Context(), cfg, keystore.Root{}, readers, logRestore)
			if err != nil {
				t.Fatalf("Restore with a cut at %d %s: %v", n, when, err)
			}
			wantCut(t, r, rm, leavesOf(t, s), n)
			checked(t, r)
			checked(t, s)
		}
	}
}

// hooked is a buffer that calls a function at the second write, once.
type hooked struct {
	bytes.Buffer
	writes int
	hook   func()
}

func (w *hooked) Write(p []byte) (int, error) {
	if w.writes++; w.writes == 2 && w.hook != nil {
		w.hook()
	}
	return w.Buffer.Write(p)
}

// TestCutThatFails: a cut whose commit fails removes nothing, and a trim that fails is
// completed later.
func TestCutThatFails(t *testing.T) {
	m := storetest.NewMemory()
	s := create(t, config(t, m))
	logged(t, s, 8)
	full := leavesOf(t, s)
	broken := errors.New("no")
	m.Fault(func(keystore.Batch) error { return broken })
	if err := cut(t.Context(), s, 5); !errors.Is(err, broken) {
		t.Errorf("a cut whose commit fails: %v", err)
	}
	m.Fault(nil)
	wantCut(t, s, m, full, 0)
	at, err := s.LogStateAt(t.Context(), 5)
	must(t, err)
	if err := s.CutLog(t.Context(), at, func(*keystore.Tx) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a cut whose operation fails: %v", err)
	}
	wantCut(t, s, m, full, 0)
	must(t, s.CutLog(t.Context(), at, logRestore))
	if _, err := s.LogRecord(t.Context(), 4); !errors.Is(err, keystore.ErrCut) {
		t.Errorf("a record before the cut whose space is not yet released: %v, want ErrCut", err)
	}
	must(t, s.Check(t.Context()))
	must(t, s.TrimLog(t.Context()))
	wantCut(t, s, m, full, 5)
	checked(t, s)
}

// TestCutStoreFromBefore: a store from before a cut does not open beside the tip from
// after it, and neither does one whose cut was removed or changed.
func TestCutStoreFromBefore(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := create(t, cfg)
	logged(t, s, 8)
	before := m.Snapshot()
	must(t, cut(t.Context(), s, 5))
	must(t, s.Close())
	after := m.Snapshot()
	m.Restore(before)
	if _, err := reopen(cfg); !errors.Is(err, keystore.ErrRolledBack) {
		t.Errorf("Open of the store from before the cut: %v, want ErrRolledBack", err)
	}
	m.Restore(after)
	for key, value := range before {
		if key[0] == 'a' {
			m.Change(key, value) // a removed segment comes back
		}
	}
	s, err := reopen(cfg)
	must(t, err)
	must(t, s.TrimLog(t.Context()))
	must(t, s.Close())
	for key := range after {
		if _, there := before[key]; there || key[0] != 'r' {
			continue // the records that the cut added
		}
		m.Restore(after)
		m.Change(key, nil)
		if _, err := reopen(cfg); !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("Open without the record of the cut: %v, want ErrCorrupt", err)
		}
	}
	m.Restore(after)
	s, err = reopen(cfg)
	must(t, err)
	checked(t, s)
}
