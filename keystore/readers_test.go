package keystore_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// slow is an engine that blocks one read of a record or of the log once it is armed.
type slow struct {
	keystore.Engine
	armed atomic.Bool
	kept  chan bool // closed while the read is blocked
	leave chan bool
}

func (e *slow) keep() {
	if e.armed.CompareAndSwap(true, false) {
		close(e.kept)
		<-e.leave
	}
}

func (e *slow) Get(ctx context.Context, key []byte) ([]byte, error) {
	if key[0] == 'r' {
		e.keep()
	}
	return e.Engine.Get(ctx, key)
}

func (e *slow) Scan(ctx context.Context, prefix, after []byte, limit int) ([]keystore.Pair, error) {
	if string(prefix) == "a" {
		e.keep()
	}
	return e.Engine.Scan(ctx, prefix, after, limit)
}

// TestReaderHoldsUpNobody: a reader that waits for the engine delays neither commits nor
// other readers, and it returns a value that was durable during the call.
func TestReaderHoldsUpNobody(t *testing.T) {
	for name, read := range map[string]func(s *keystore.Store) error{
		"a record": func(s *keystore.Store) error {
			rec, err := s.Get(context.Background(), "a")
			if err == nil && rec.Version != s.Version("a") {
				t.Errorf("Get returned version %d, which is not the durable one", rec.Version)
			}
			return err
		},
		"the log": func(s *keystore.Store) error {
			_, err := s.LogRecord(context.Background(), 0)
			return err
		},
	} {
		m := storetest.NewMemory()
		e := &slow{Engine: m, kept: make(chan bool), leave: make(chan bool)}
		cfg := config(t, m)
		cfg.OpenEngine = func(string) (keystore.Engine, error) { return e, nil }
		s := createSmall(t, cfg)
		e.armed.Store(true)
		first, others := make(chan error, 1), make(chan error, 1)
		go func() { first <- read(s) }()
		<-e.kept
		go func() {
			err := s.Commit(context.Background(), small)
			s.Version("a")
			if err == nil {
				err = read(s)
			}
			others <- err
		}()
		select {
		case err := <-others:
			must(t, err)
			others <- nil
		case <-time.After(poll.Limit):
			t.Errorf("%s: commits and readers wait for a blocked reader", name)
		}
		close(e.leave)
		must(t, <-first)
		must(t, <-others)
		checked(t, s)
	}
}
