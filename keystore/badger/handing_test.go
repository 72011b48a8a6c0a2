package badger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom.example/keystore"
)

// A batch with nothing in it leaves no gap between the log and Badger's position.
func TestEmptyBatch(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir).(*engine)
	must(t, e.Commit(t.Context(), put("k", "v")))
	must(t, e.Commit(t.Context(), keystore.Batch{}))
	wrong := keystore.Batch{Expect: []keystore.Expectation{{Key: []byte("k")}}}
	if err := e.Commit(t.Context(), wrong); !errors.Is(err, keystore.ErrConflict) {
		t.Errorf("an expectation alone: %v", err)
	}
	must(t, e.handAll(e.log.last))
	must(t, e.Commit(t.Context(), keystore.Batch{}))
	must(t, e.turn())
	must(t, e.Commit(t.Context(), put("l", "v")))
	reopened(t, crash(t, dir), model{"k": "v", "l": "v"})
}

// Close does not end Badger under a transaction, and commits do not wait for one
// that Badger's fault may keep for ever.
func TestFaultWhileHanding(t *testing.T) {
	e, err := Open(t.TempDir())
	must(t, err)
	b := e.(*engine)
	must(t, e.Commit(t.Context(), put("k", "v")))
	handing := make(chan error)
	b.handing = handing
	failed := make(chan error, 1)
	go func() {
		b.commit.Lock()
		defer b.commit.Unlock()
		failed <- b.handOver()
	}()
	select {
	case err := <-failed:
		t.Fatalf("a handing-over beside another: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	b.watch.Errorf("a fault of %s", "Badger's")
	if err := <-failed; !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("after a fault: %v", err)
	}
	closed := make(chan error, 1)
	go func() { closed <- e.Close() }()
	time.Sleep(50 * time.Millisecond)
	if b.db.IsClosed() {
		t.Error("Badger was closed under a transaction")
	}
	handing <- nil
	if err := <-closed; !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("close: %v", err)
	}
	if !b.db.IsClosed() {
		t.Error("Badger was not closed")
	}
}

// A flush that fails for the first time while Badger closes does not keep Close.
func TestFlushFailsAtClose(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(dir)
	must(t, err)
	must(t, e.Commit(t.Context(), put("k", "v")))
	cut := crash(t, dir)
	var taken []string
	for id := range 100 { // the names of the tables to come
		taken = append(taken, filepath.Join(dir, fmt.Sprintf("%06d.sst", id+1)))
		must(t, os.WriteFile(taken[id], []byte("taken"), 0o600))
	}
	closed := make(chan error, 1)
	go func() { closed <- e.Close() }()
	select {
	case err := <-closed:
		if !errors.Is(err, keystore.ErrUnavailable) {
			t.Errorf("close: %v", err)
		}
	case <-time.After(3 * giveUp):
		t.Fatal("Close waits for a flush that fails")
	}
	reopened(t, cut, model{"k": "v"})
	for _, name := range taken {
		must(t, os.Remove(name))
	}
	for errors.Is(probeLock(dir), keystore.ErrInUse) { // the flush is tried again
		time.Sleep(10 * time.Millisecond)
	}
	reopened(t, dir, model{"k": "v"})
}

// What a merge of tables may write counts against the free room; what stands before
// all that is written now does not.
func TestRoomForMerges(t *testing.T) {
	dir, room := t.TempDir(), uint64(1<<40)
	free := func(string) (uint64, error) { return room, nil }
	e, err := openWith(dir, free)
	must(t, err)
	value := strings.Repeat("v", MaxValue)
	for i := range 200 {
		must(t, e.Commit(t.Context(), put(fmt.Sprintf("r%03d", i), value)))
	}
	must(t, e.Close())
	e, err = openWith(dir, free)
	must(t, err)
	room = commitReserve + 3<<20 // a table reaches to the engine's own key, which always changes
	for i := range 8 {
		must(t, e.Commit(t.Context(), put(fmt.Sprintf("s%03d", i), value)))
	}
	for i := range 8 {
		err = errors.Join(err, e.Commit(t.Context(), put(fmt.Sprintf("a%03d", i), value)))
	}
	if !errors.Is(err, keystore.ErrFull) {
		t.Errorf("a merge of all tables, with room for none: %v", err)
	}
	room = openReserve + 3<<20
	if err := e.Close(); !errors.Is(err, keystore.ErrFull) {
		t.Errorf("close: %v", err)
	}
	room = 1 << 40
	must(t, e.Close())
}
