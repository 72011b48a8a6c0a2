package keystore_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// TestScrub: Scrub passes beside commits, cuts and rewrites of the journal, finds each stored
// record that was changed or added, and each damage of the journal, which it mends, and stops
// with the error of its pace.
func TestScrub(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := create(t, cfg)
	logged(t, s, 40)
	free := func(context.Context, int) error { return nil }
	stop := make(chan struct{})
	var users sync.WaitGroup
	users.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			err := s.Commit(context.Background(), func(tx *keystore.Tx) error {
				tx.Put("k/03", bytes.Repeat([]byte{byte(n)}, 30000)) // the journal is soon rewritten
				if tx.Delete("k/04"); n%2 == 0 {
					tx.Put("k/04", []byte{byte(n)})
				}
				tx.Log(func(uint64) []byte { return []byte("beside") })
				return nil
			})
			if err == nil && n%10 == 9 {
				err = cut(context.Background(), s, s.LogState().Size-3)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 50 {
		if err := s.Scrub(t.Context(), free); err != nil {
			t.Errorf("Scrub beside commits: %v", err)
		}
	}
	close(stop)
	users.Wait()
	all := m.Snapshot()
	for key, value := range all {
		m.Change(key, append(bytes.Clone(value[:len(value)-1]), value[len(value)-1]^1))
		if err := s.Scrub(t.Context(), free); !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("Scrub with the value of %x changed: %v, want ErrCorrupt", key, err)
		}
		m.Change(key, value)
		other := []byte(key)
		other[len(other)-1] ^= 1
		cut := other[0] == 'a' && binary.BigEndian.Uint64(other[1:]) < s.LogFirst().Size // no reader looks there
		if _, there := all[string(other)]; !there && !cut && len(other) > 1 {
			m.Change(string(other), value)
			if err := s.Scrub(t.Context(), free); !errors.Is(err, keystore.ErrCorrupt) {
				t.Errorf("Scrub with an added key %x: %v, want ErrCorrupt", other, err)
			}
			m.Change(string(other), nil)
		}
	}
	journal := filepath.Join(cfg.Dir, keystore.JournalFile)
	size := len(bytes.TrimRight(read(t, journal), "\x00"))
	for at := 0; at < size; at += size/50 + 1 {
		b := read(t, journal)
		b[at] ^= 1
		write(t, journal, b)
		if err := s.Scrub(t.Context(), free); !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("Scrub with byte %d of the journal changed: %v, want ErrCorrupt", at, err)
		}
		if err := s.Scrub(t.Context(), free); err != nil {
			t.Errorf("Scrub after one that mended the journal: %v", err)
		}
		size = len(bytes.TrimRight(read(t, journal), "\x00"))
	}
	broken := errors.New("enough")
	if err := s.Scrub(t.Context(), func(context.Context, int) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("Scrub whose pace fails: %v", err)
	}
	checked(t, s)
}
