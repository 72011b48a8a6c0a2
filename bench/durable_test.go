package bench

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func newDurable(t testing.TB, path string, records int) *durableLog {
	t.Helper()
	d, err := newDurableLog(path, records)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestDurableSharesSyncs checks that the baseline is fair: syncs are shared, and every
// acknowledged record is in the file once.
func TestDurableSharesSyncs(t *testing.T) {
	const callers, calls = 64, 64 * 20
	path := filepath.Join(t.TempDir(), "log")
	d := newDurable(t, path, calls)
	var number atomic.Uint64
	err := appendAll(callers, calls, func() error {
		return d.Append(binary.BigEndian.AppendUint64(nil, number.Add(1)))
	})
	if err != nil {
		t.Fatal(err)
	}
	records, syncs := d.Count()
	if records != calls || syncs == 0 || syncs >= records {
		t.Errorf("%d records, %d syncs", records, syncs)
	}
	t.Log(records, "records,", syncs, "syncs")

	content, err := os.ReadFile(path)
	if err != nil || len(content) != calls*recordSize {
		t.Fatalf("%d bytes, %v", len(content), err)
	}
	seen := map[uint64]bool{}
	for i := range calls {
		seen[binary.BigEndian.Uint64(content[i*recordSize:])] = true
	}
	for n := range uint64(calls) {
		if !seen[n+1] {
			t.Errorf("record %d is not on disk", n+1)
		}
	}
}

func TestDurableBeginsAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	d := newDurable(t, path, 3)
	for i := range byte(4) {
		if err := d.Append([]byte{i + 1}); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil || len(content) != 3*recordSize {
		t.Fatalf("%d bytes, %v", len(content), err)
	}
	for i, want := range []byte{4, 2, 3} {
		if got := content[i*recordSize]; got != want {
			t.Errorf("slot %d holds record %d, not %d", i, got, want)
		}
	}
}

func TestDurableReturnsErrors(t *testing.T) {
	d, err := newDurableLog(filepath.Join(t.TempDir(), "log"), 3)
	if err != nil {
		t.Fatal(err)
	}
	d.file.Close()
	if err := d.Append([]byte("x")); err == nil {
		t.Error("a record in a closed file was acknowledged")
	}
}

// appendAll makes a number of calls, distributed over callers, and returns one of their
// errors.
func appendAll(callers, calls int, f func() error) error {
	failed := make(chan error, callers)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range calls / callers {
				if err := f(); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(failed)
	return <-failed
}
