package badger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"strongroom.example/keystore"
)

// jam has Badger fail to flush until a transaction waits for it, and the engine take
// that for one of its own that is merely slow. It answers how to mend it.
func jam(t *testing.T, e *engine) (mend func()) {
	t.Helper()
	var taken []string
	for id := range 100 { // the names of the tables to come
		taken = append(taken, filepath.Join(e.dir, fmt.Sprintf("%06d.sst", id+1)))
		must(t, os.WriteFile(taken[id], []byte("taken"), 0o600))
	}
	ended := make(chan error, 1)
	for waits := false; !waits; {
		go func() {
			ended <- e.db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("x"), make([]byte, 60<<10)) })
		}()
		select {
		case err := <-ended:
			must(t, err)
		case <-time.After(300 * time.Millisecond):
			waits = true
		}
	}
	e.watch, e.handing = newWatch(), ended
	e.over.leave()
	return func() {
		for _, name := range taken {
			must(t, os.Remove(name))
		}
	}
}

// soon answers what f does, unless it does not end.
func soon(t *testing.T, f func() error) error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience + 2*time.Second):
		t.Fatal("it waits for Badger")
		return nil
	}
}

// A reader waits for Badger no longer than his context says, and not for ever once it
// has failed. Commits and Close do not wait for him.
func TestReadersWhoWaitForBadger(t *testing.T) {
	x, err := Open(t.TempDir())
	must(t, err)
	e := x.(*engine)
	must(t, e.Commit(t.Context(), put("k", "v")))
	mend := jam(t, e)
	get := func(ctx context.Context) error { _, err := e.Get(ctx, []byte("absent")); return err }
	scan := func(ctx context.Context) error { _, err := e.Scan(ctx, nil, nil, 9); return err }
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	waiting := make(chan error, 2)
	for _, read := range []func(context.Context) error{get, scan} {
		if err := soon(t, func() error { return read(short) }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a reader whose context ended: %v", err)
		}
		go func() { waiting <- read(context.Background()) }()
	}
	time.Sleep(20 * time.Millisecond)
	must(t, soon(t, func() error { return e.Commit(t.Context(), put("l", "v")) }))
	e.watch.Errorf("a fault of %s", "Badger's")
	for range 2 {
		if err := soon(t, func() error { return <-waiting }); !errors.Is(err, keystore.ErrUnavailable) {
			t.Errorf("a reader after a fault: %v", err)
		}
	}
	for _, key := range []string{"k", "l"} {
		if v, err := e.Get(t.Context(), []byte(key)); err != nil || string(v) != "v" {
			t.Errorf("%s lies over Badger: %q, %v", key, v, err)
		}
	}
	mend()
	if err := e.Close(); !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("close: %v", err)
	}
}

// A scan shows one moment, also while batches set out for Badger as it begins: of two
// keys that are counted up in turn, the second is never ahead.
func TestScansWhileBatchesSetOut(t *testing.T) {
	e := open(t, t.TempDir()).(*engine)
	count := func(n int) {
		for _, key := range []string{"a", "b"} {
			e.over.add(put(key, fmt.Sprintf("%04d", n)))
			must(t, e.handAll(e.log.last))
		}
	}
	count(0)
	stop, ended := make(chan bool), make(chan bool)
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			pairs, err := e.Scan(t.Context(), nil, nil, 9)
			if err != nil || len(pairs) != 2 || string(pairs[0].Value) < string(pairs[1].Value) {
				t.Errorf("two moments in one: %v, %v", pairs, err)
				return
			}
		}
	}()
	for n := range 2000 {
		count(n + 1)
	}
	close(stop)
	<-ended
}
