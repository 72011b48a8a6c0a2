package keystore_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// cramped is an engine that has no room to close while full is set.
type cramped struct {
	keystore.Engine
	full   atomic.Bool
	closed atomic.Bool
}

func (e *cramped) Close() error {
	if e.full.Load() {
		return keystore.ErrFull
	}
	e.closed.Store(true)
	return e.Engine.Close()
}

// openCramped has cfg open e.
func openCramped(cfg *keystore.Config, m *storetest.Memory, e *cramped) {
	cfg.OpenEngine = func(dir string) (keystore.Engine, error) {
		var err error
		e.Engine, err = m.Open(dir)
		return e, err
	}
}

// A store that a full disk keeps from closing is closed by the next Close with room,
// and is shut to everybody from the first one on.
func TestCloseOnAFullDisk(t *testing.T) {
	m, e := storetest.NewMemory(), &cramped{}
	cfg := config(t, m)
	openCramped(&cfg, m, e)
	s := createSmall(t, cfg)
	e.full.Store(true)
	for range 2 {
		if err := s.Close(); !errors.Is(err, keystore.ErrFull) {
			t.Errorf("Close without room: %v", err)
		}
		_, get := s.Get(t.Context(), "a")
		for _, err := range []error{get, s.Commit(t.Context(), small)} {
			if !errors.Is(err, keystore.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
	}
	e.full.Store(false)
	must(t, s.Close())
	if !e.closed.Load() {
		t.Error("Close answered nil, and the engine is open")
	}
	must(t, s.Close())
	s, err := reopen(cfg)
	must(t, err)
	checked(t, s)
}

// What a failed Open or Create had opened is closed once there is room.
func TestFailedOpenOnAFullDisk(t *testing.T) {
	m, e := storetest.NewMemory(), &cramped{}
	cfg := config(t, m)
	openCramped(&cfg, m, e)
	must(t, createSmall(t, cfg).Close())
	good := m.Snapshot()["h"]
	refused := errors.New("refused")
	for name, failing := range map[string]func() error{
		"Open": func() error {
			m.Change("h", nil)
			_, err := reopen(cfg)
			m.Change("h", good)
			return err
		},
		"Create": func() error {
			other := cfg
			other.Dir = t.TempDir()
			m.Restore(map[string][]byte{})
			_, err := keystore.Create(t.Context(), other, keystore.Root{}, func(*keystore.Tx) error { return refused })
			return err
		},
	} {
		e.closed.Store(false)
		e.full.Store(true)
		if err := failing(); !errors.Is(err, keystore.ErrFull) {
			t.Errorf("%s: %v", name, err)
		}
		e.full.Store(false)
		for begin := time.Now(); !e.closed.Load(); time.Sleep(10 * time.Millisecond) {
			if time.Since(begin) > 10*time.Second {
				t.Fatalf("%s: the engine stays open", name)
			}
		}
	}
}
