package keystore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"strongroom.example/internal/suite"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// chain is an Appender that hashes leaves into a chain.
type chain struct{}

func (chain) Extend(from keystore.LogState, leaves [][]byte) (keystore.Extension, error) {
	for _, l := range leaves {
		from.Root = sha256.Sum256(append(from.Root[:], l...))
		from.Size++
	}
	return keystore.Extension{State: from}, nil
}

func config(t *testing.T, m *storetest.Memory) keystore.Config {
	return keystore.Config{
		Dir: t.TempDir(), Suite: suiteOf(t), Root: bytes.Repeat([]byte{7}, 32), OpenEngine: m.Open, Log: chain{}, MinFree: 1,
	}
}

// suiteOf returns SM within TestInTheSMSuite, otherwise AES.
func suiteOf(t *testing.T) keystore.Suite {
	if strings.HasPrefix(t.Name(), "TestInTheSMSuite/") {
		return keystore.SuiteSM
	}
	return keystore.SuiteAES
}

// TestInTheSMSuite runs the tests of the store again in the SM suite.
func TestInTheSMSuite(t *testing.T) {
	if !suite.ID(keystore.SuiteSM).Usable() {
		t.Skip("this process enforces FIPS 140, which refuses the SM algorithms")
	}
	for name, test := range map[string]func(*testing.T){
		"reopen": TestReopen, "flips": TestEveryFlipIsFound, "older": TestOlderIsFound, "apart": TestOperationsAreApart,
		"rekey": TestRekeyCutAnywhere, "one root file": TestOneRootFileIsEnough, "no root file": TestNoRootFile,
		"root file before rekey": TestRootFileFromBeforeRekey, "replace": TestReplaceCutAnywhere,
		"flips while open": TestEveryFlipIsFoundWhileOpen, "swapped": TestSwappedIsFound, "added": TestAddedIsFound,
		"tip": TestTipDamage, "other history": TestOtherHistoryIsFound, "failed commit": TestFailedCommitIsAnswered,
		"uncertain commit": TestUncertainCommitFailsClosed, "split": TestGroupsAreSplit, "large": TestTooLarge,
		"epoch": TestEpochChange, "epoch without its file": TestEpochChangeWithoutItsFile, "old files": TestOldFilesAfterEpochChange,
		"readers": TestReadersDuringCommits, "silence": TestNothingPrintsASecret,
	} {
		t.Run(name, test)
	}
}

func fill(tx *keystore.Tx) error {
	for i := range 12 {
		tx.Put(fmt.Sprintf("k/%02d", i), []byte("value"))
	}
	tx.PutMaterial("m/1", []byte("material"))
	tx.Log(func(seq uint64) []byte { return fmt.Appendf(nil, "leaf %d", seq) })
	return nil
}

func create(t *testing.T, cfg keystore.Config) *keystore.Store {
	t.Helper()
	s, err := keystore.Create(t.Context(), cfg, keystore.Root{}, fill)
	must(t, err)
	return s
}

func reopen(cfg keystore.Config) (*keystore.Store, error) {
	root, err := keystore.ReadRoot(cfg.Dir)
	if err != nil {
		return nil, err
	}
	return keystore.Open(context.Background(), cfg, root)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// checked runs the full integrity check and closes s.
func checked(t *testing.T, s *keystore.Store) {
	t.Helper()
	must(t, s.Check(context.Background()))
	must(t, s.Close())
}

func TestReopen(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	checked(t, create(t, cfg))
	if _, err := keystore.Create(t.Context(), cfg, keystore.Root{}, fill); !errors.Is(err, keystore.ErrExists) {
		t.Fatalf("Create over a store: %v, want ErrExists", err)
	}
	s, err := reopen(cfg)
	must(t, err)
	rec, err := s.Get(t.Context(), "k/07")
	if err != nil || string(rec.Value) != "value" {
		t.Fatalf("Get after reopening: %q, %v", rec.Value, err)
	}
	checked(t, s)
	cfg.Root = make([]byte, 32)
	if _, err := reopen(cfg); !errors.Is(err, keystore.ErrUnlock) {
		t.Fatalf("Open with a wrong root: %v, want ErrUnlock", err)
	}
}

func TestEveryFlipIsFound(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := create(t, cfg)
	must(t, s.Close())
	good := m.Snapshot()
	for key, value := range good {
		for i := range value {
			if i%7 != 0 && i > 40 && testing.Short() {
				continue
			}
			bad := bytes.Clone(value)
			bad[i] ^= 1
			m.Change(key, bad)
			if s, err := reopen(cfg); !errors.Is(err, keystore.ErrCorrupt) {
				t.Fatalf("Open with byte %d of %x changed: %v, %v, want ErrCorrupt", i, key, s, err)
			}
		}
		m.Change(key, nil)
		if _, err := reopen(cfg); !errors.Is(err, keystore.ErrCorrupt) {
			t.Fatalf("Open with %x deleted: %v, want ErrCorrupt", key, err)
		}
		m.Change(key, value)
	}
	s, err := reopen(cfg)
	must(t, err)
	checked(t, s)
}

func TestOlderIsFound(t *testing.T) {
	m := storetest.NewMemory()
	cfg := config(t, m)
	s := create(t, cfg)
	old := m.Snapshot()
	must(t, s.Commit(t.Context(), fill))
	must(t, s.Close())
	now := m.Snapshot()
	for key, value := range old {
		if strings.HasPrefix(key, "r") {
			m.Change(key, value)
			if _, err := reopen(cfg); !errors.Is(err, keystore.ErrCorrupt) {
				t.Fatalf("Open with an older %x: %v, want ErrCorrupt", key, err)
			}
			m.Change(key, now[key])
		}
	}
	m.Restore(old)
	if _, err := reopen(cfg); !errors.Is(err, keystore.ErrRolledBack) {
		t.Fatalf("Open with an older engine: %v, want ErrRolledBack", err)
	}
	m.Restore(now)
	s, err := reopen(cfg)
	must(t, err)
	checked(t, s)
}

func TestOperationsAreApart(t *testing.T) {
	s := create(t, config(t, storetest.NewMemory()))
	refused := errors.New("refused")
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for range 5 {
				err := s.Commit(context.Background(), func(tx *keystore.Tx) error {
					tx.Put(fmt.Sprintf("g/%d", i), []byte("x"))
					tx.Log(func(seq uint64) []byte { return fmt.Appendf(nil, "%d", seq) })
					switch i % 8 {
					case 3:
						return refused
					case 5:
						panic("op")
					}
					return nil
				})
				if (err == nil) != (i%8 != 3 && i%8 != 5) || i%8 == 3 && !errors.Is(err, refused) {
					t.Errorf("operation %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(s.Paths("g/")); n != 48 || s.LogState().Size != 1+48*5 {
		t.Errorf("%d paths and %d leaves, want 48 and 241", n, s.LogState().Size)
	}
	checked(t, s)
}

// TestPanicIsSilent: the error of an operation that panicked has only the type of the
// value. It has neither the value, which may be a secret, nor a stack trace.
func TestPanicIsSilent(t *testing.T) {
	s := create(t, config(t, storetest.NewMemory()))
	const secret = "TellNobody"
	for want, value := range map[string]any{"string": secret, "*errors.errorString": errors.New(secret), "[]uint8": []byte(secret)} {
		for _, op := range []func(*keystore.Tx) error{
			func(*keystore.Tx) error { panic(value) },
			func(tx *keystore.Tx) error { tx.Log(func(uint64) []byte { panic(value) }); return nil },
		} {
			err := s.Commit(t.Context(), op)
			if err == nil || !strings.Contains(err.Error(), "("+want+")") {
				t.Fatalf("Commit of an operation that panics: %v, want an error with the type of the value", err)
			}
			for _, leak := range []string{secret, "goroutine", ".go:", "0x", "\n"} {
				if strings.Contains(fmt.Sprintf("%+v", err), leak) {
					t.Errorf("the error contains %q: %+v", leak, err)
				}
			}
		}
	}
	checked(t, s)
}

func TestRekeyCutAnywhere(t *testing.T) {
	next := bytes.Repeat([]byte{9}, 32)
	for cut := 1; ; cut++ {
		cfg := config(t, storetest.NewMemory())
		n, crash := -1, errors.New("crash")
		cfg.SetStep(func(string) error {
			if n >= 0 {
				if n++; n >= cut {
					return crash
				}
			}
			return nil
		})
		s := create(t, cfg)
		n = 0
		err := s.Rekey(t.Context(), keystore.Rekeying{Root: next})
		s.Close()
		cfg.SetStep(nil)
		again, openErr := reopen(cfg)
		if errors.Is(openErr, keystore.ErrUnlock) {
			cfg.Root = next
			again, openErr = reopen(cfg)
		}
		if openErr != nil {
			t.Fatalf("cut at step %d (%v): Open: %v", cut, err, openErr)
		}
		checked(t, again)
		if err == nil {
			return
		}
	}
}
