package keystore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// restored makes a store from snapshots, under another root.
func restored(t *testing.T, snapshots ...[]byte) (*keystore.Store, error) {
	t.Helper()
	cfg := config(t, storetest.NewMemory())
	cfg.Root = bytes.Repeat([]byte{9}, 32)
	var readers []io.Reader
	for _, b := range snapshots {
		readers = append(readers, bytes.NewReader(b))
	}
	return keystore.Restore(t.Context(), cfg, keystore.Root{}, readers, logRestore)
}

func logRestore(tx *keystore.Tx) error {
	tx.Log(func(uint64) []byte { return []byte("restored") })
	return nil
}

// snapshot writes a snapshot to memory.
func snapshot(t *testing.T, s *keystore.Store, since keystore.Position) ([]byte, keystore.Position) {
	t.Helper()
	var b bytes.Buffer
	at, err := s.Snapshot(t.Context(), &b, since)
	must(t, err)
	return b.Bytes(), at
}

// contents returns every record and audit record of a store.
func contents(t *testing.T, s *keystore.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range s.Paths("") {
		r, err := s.Get(t.Context(), path)
		must(t, err)
		all[path] = fmt.Sprintf("%d %s", r.Version, r.Value)
	}
	for e, err := range s.LogRange(t.Context(), 0, s.LogState().Size) {
		must(t, err)
		all[fmt.Sprintf("audit record %d", e.Seq)] = string(e.Leaf)
	}
	return all
}

// sameContents compares a restored store with the one that was saved.
func sameContents(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s is %q after Restore, want %q", name, got[name], v)
		}
	}
	if len(got) != len(want)+1 {
		t.Errorf("Restore left %d records, want %d and its own audit record", len(got), len(want))
	}
}

// TestSnapshotAndRestore saves a store in full and three times incrementally, with
// records changed, deleted and destroyed and a new root in between, and restores each chain.
func TestSnapshotAndRestore(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	s := create(t, cfg)
	defer s.Close()
	full, at := snapshot(t, s, keystore.Position{})
	chain, states := [][]byte{full}, []map[string]string{contents(t, s)}
	for _, change := range []func() error{
		func() error {
			return s.Commit(t.Context(), func(tx *keystore.Tx) error {
				tx.Put("k/03", []byte("changed"))
				tx.Put("new", []byte("new"))
				tx.Delete("k/04")
				tx.Log(func(uint64) []byte { return []byte("a change") })
				return nil
			})
		},
		func() error {
			return s.ChangeEpoch(t.Context(), func(tx *keystore.Tx) error { tx.Delete("m/1"); return nil })
		},
		func() error {
			return s.Rekey(t.Context(), keystore.Rekeying{Root: bytes.Repeat([]byte{8}, 32), Op: logRestore})
		},
	} {
		must(t, change())
		var next []byte
		next, at = snapshot(t, s, at)
		chain, states = append(chain, next), append(states, contents(t, s))
	}
	for n := range chain {
		r, err := restored(t, chain[:n+1]...)
		must(t, err)
		sameContents(t, contents(t, r), states[n])
		checked(t, r)
	}
	if len(chain[1]) >= len(full) {
		t.Errorf("an incremental snapshot has %d bytes, the full one %d, want fewer", len(chain[1]), len(full))
	}
	for name, wrong := range map[string][][]byte{
		"none": {}, "incremental alone": {chain[1]}, "one left out": {full, chain[2]}, "out of order": {full, chain[2], chain[1]},
	} {
		if _, err := restored(t, wrong...); !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("Restore of %s: %v, want ErrCorrupt", name, err)
		}
	}
}

// TestRestoredStoreIsAhead checks that a restored store has a higher generation than the
// saved one can reach, and that only the new root opens it.
func TestRestoredStoreIsAhead(t *testing.T) {
	s := create(t, config(t, storetest.NewMemory()))
	defer s.Close()
	saved, at := snapshot(t, s, keystore.Position{})
	m := storetest.NewMemory()
	cfg := config(t, m)
	cfg.Root = bytes.Repeat([]byte{9}, 32)
	r, err := keystore.Restore(t.Context(), cfg, keystore.Root{}, []io.Reader{bytes.NewReader(saved)}, logRestore)
	must(t, err)
	_, now := snapshot(t, r, keystore.Position{})
	if now.Generation < at.Generation+1<<32 {
		t.Errorf("the restored store is at generation %d, the saved one at %d", now.Generation, at.Generation)
	}
	checked(t, r)
	r, err = reopen(cfg)
	must(t, err)
	checked(t, r)
	cfg.Root = bytes.Repeat([]byte{7}, 32)
	if _, err := reopen(cfg); !errors.Is(err, keystore.ErrUnlock) {
		t.Errorf("Open of a restored store by the root of the saved one: %v, want ErrUnlock", err)
	}
}

// TestTornSnapshot cuts a snapshot at every byte, changes every byte, and appends one.
func TestTornSnapshot(t *testing.T) {
	s := create(t, config(t, storetest.NewMemory()))
	defer s.Close()
	want := contents(t, s)
	saved, _ := snapshot(t, s, keystore.Position{})
	for n := range saved {
		if _, err := restored(t, saved[:n]); !errors.Is(err, keystore.ErrCorrupt) {
			t.Fatalf("Restore of the first %d of %d bytes: %v, want ErrCorrupt", n, len(saved), err)
		}
		if n%7 != 0 {
			continue
		}
		// The container of a snapshot authenticates it. Without it, a changed snapshot
		// still never restores to other contents than those that were saved.
		bad := bytes.Clone(saved)
		bad[n] ^= 1
		r, err := restored(t, bad)
		if err == nil {
			sameContents(t, contents(t, r), want)
			must(t, r.Close())
		}
	}
	if _, err := restored(t, append(slices.Clone(saved), 0)); !errors.Is(err, keystore.ErrCorrupt) {
		t.Errorf("Restore with a byte behind the end: %v, want ErrCorrupt", err)
	}
}

// TestSnapshotOfDamage changes each stored record, which must end the snapshot.
func TestSnapshotOfDamage(t *testing.T) {
	m := storetest.NewMemory()
	s := create(t, config(t, m))
	defer s.Close()
	for key, value := range m.Snapshot() {
		if key == "h" {
			continue // the snapshot contains the committer's copy of the head
		}
		for _, bad := range [][]byte{nil, append(bytes.Clone(value[:len(value)-1]), value[len(value)-1]^1)} {
			m.Change(key, bad)
			if _, err := s.Snapshot(t.Context(), io.Discard, keystore.Position{}); !errors.Is(err, keystore.ErrCorrupt) {
				t.Errorf("Snapshot with record %x damaged: %v, want ErrCorrupt", key, err)
			}
		}
		m.Change(key, value)
	}
}

// TestSnapshotDuringCommits takes snapshots while 16 goroutines move units between
// records. Each restored store must have the same total number of units.
func TestSnapshotDuringCommits(t *testing.T) {
	s := create(t, config(t, storetest.NewMemory()))
	defer s.Close()
	const records, units = 16, 100
	name := func(i int) string { return fmt.Sprintf("unit/%02d", i) }
	must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error {
		for i := range records {
			tx.Put(name(i), []byte{units})
		}
		return nil
	}))
	ctx, stop := context.WithCancel(t.Context())
	var movers sync.WaitGroup
	movers.Go(func() { // adds and removes records
		for n := 0; ctx.Err() == nil; n++ {
			err := s.Commit(context.Background(), func(tx *keystore.Tx) error {
				tx.Put(fmt.Sprintf("short-lived/%d", n), []byte("x"))
				tx.Delete(fmt.Sprintf("short-lived/%d", n-8))
				return nil
			})
			if err != nil {
				t.Errorf("Commit during Snapshot: %v", err)
				return
			}
		}
	})
	for i := range records {
		movers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				err := s.Commit(context.Background(), func(tx *keystore.Tx) error {
					from, err := tx.Get(name(i))
					if err != nil || from.Value[0] == 0 {
						return err
					}
					to, err := tx.Get(name((i + n%(records-1) + 1) % records))
					if err != nil || to.Value[0] == 255 {
						return err
					}
					tx.Put(from.Path, []byte{from.Value[0] - 1})
					tx.Put(to.Path, []byte{to.Value[0] + 1})
					tx.Log(func(uint64) []byte { return []byte("moved") })
					return nil
				})
				if err != nil {
					t.Errorf("Commit during Snapshot: %v", err)
					return
				}
			}
		})
	}
	var chain [][]byte
	var at keystore.Position
	for range 4 {
		var b bytes.Buffer
		next, err := s.Snapshot(t.Context(), &b, at)
		if err != nil {
			t.Errorf("Snapshot during commits: %v", err)
			break
		}
		chain, at = append(chain, b.Bytes()), next
	}
	stop()
	movers.Wait()
	for n := range chain {
		r, err := restored(t, chain[:n+1]...)
		must(t, err)
		sum := 0
		for i := range records {
			rec, err := r.Get(t.Context(), name(i))
			must(t, err)
			sum += int(rec.Value[0])
		}
		if sum != records*units {
			t.Errorf("snapshot %d holds %d units, want %d", n, sum, records*units)
		}
		checked(t, r)
	}
}

// TestSnapshotStopsAtErrors checks that Snapshot and Restore return the errors of their
// writer and readers.
func TestSnapshotStopsAtErrors(t *testing.T) {
	s := create(t, config(t, storetest.NewMemory()))
	defer s.Close()
	saved, _ := snapshot(t, s, keystore.Position{})
	broken := errors.New("no more")
	for _, n := range []int{0, 1, len(saved) / 2, len(saved) - 1} {
		if _, err := s.Snapshot(t.Context(), &limited{left: n, err: broken}, keystore.Position{}); !errors.Is(err, broken) {
			t.Errorf("Snapshot to a writer that fails after %d bytes: %v", n, err)
		}
		r := io.MultiReader(bytes.NewReader(saved[:n]), failing{broken})
		if _, err := keystore.Restore(t.Context(), config(t, storetest.NewMemory()), keystore.Root{}, []io.Reader{r}, logRestore); !errors.Is(err, broken) {
			t.Errorf("Restore from a reader that fails after %d bytes: %v", n, err)
		}
	}
	must(t, s.Check(t.Context()))
}

// limited is a writer that fails after some bytes.
type limited struct {
	left int
	err  error
}

func (w *limited) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return w.left, w.err
	}
	w.left -= len(p)
	return len(p), nil
}

type failing struct{ err error }

func (r failing) Read([]byte) (int, error) { return 0, r.err }
