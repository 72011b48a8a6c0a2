package keystore_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// cramped is an engine whose Close fails with ErrFull while full is set.
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

// openCramped makes cfg open e.
func openCramped(cfg *keystore.Config, m *storetest.Memory, e *cramped) {
	cfg.OpenEngine = func(dir string) (keystore.Engine, error) {
		var err error
		e.Engine, err = m.Open(dir)
		return e, err
	}
}

// TestCloseOnAFullDisk: a Close that fails for lack of disk space can be repeated and
// then succeeds, and the store refuses every operation from the first Close on.
func TestCloseOnAFullDisk(t *testing.T) {
	m, e := storetest.NewMemory(), &cramped{}
	cfg := config(t, m)
	openCramped(&cfg, m, e)
	s := createSmall(t, cfg)
	e.full.Store(true)
	for range 2 {
		if err := s.Close(); !errors.Is(err, keystore.ErrFull) {
			t.Errorf("Close on a full disk: %v, want ErrFull", err)
		}
		_, get := s.Get(t.Context(), "a")
		for _, err := range []error{get, s.Commit(t.Context(), small)} {
			if !errors.Is(err, keystore.ErrClosed) {
				t.Errorf("Get or Commit after Close: %v, want ErrClosed", err)
			}
		}
	}
	e.full.Store(false)
	must(t, s.Close())
	if !e.closed.Load() {
		t.Error("Close returned nil, but the engine is still open")
	}
	must(t, s.Close())
	s, err := reopen(cfg)
	must(t, err)
	checked(t, s)
}

// TestFailedOpenOnAFullDisk: the engine that a failed Open or Create opened is closed
// once there is disk space.
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
			t.Errorf("%s of a store that fails on a full disk: %v, want ErrFull", name, err)
		}
		e.full.Store(false)
		poll.Until(t, "the engine is closed once the disk has space, after a failed "+name, e.closed.Load)
	}
}
