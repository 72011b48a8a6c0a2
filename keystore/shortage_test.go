package keystore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// replacement is one operation that replaces the root file.
type replacement struct {
	run  func(s *keystore.Store) error
	root []byte // in force afterwards; nil: the same
}

var replacements = map[string]replacement{
	"ReplaceProtectors": {run: func(s *keystore.Store) error {
		return s.ReplaceProtectors(context.Background(), []keystore.Protector{{ID: "new"}}, markDone)
	}},
	"ChangeEpoch": {run: func(s *keystore.Store) error { return s.ChangeEpoch(context.Background(), markDone) }},
	"Rekey": {root: bytes.Repeat([]byte{9}, 32), run: func(s *keystore.Store) error {
		return s.Rekey(context.Background(), keystore.Rekeying{Root: bytes.Repeat([]byte{9}, 32), Op: markDone})
	}},
}

// markDone deletes one material record and logs that.
func markDone(tx *keystore.Tx) error {
	tx.Put("done", []byte("yes"))
	return deletion("m/due")(tx)
}

// TestShortageDuringReplacement: a shortage at any step of a replacement of the root file,
// for a moment or until the call returns, fails at most the call. The change is there as
// a whole or not at all, the store works without being reopened, and the next Open
// succeeds.
func TestShortageDuringReplacement(t *testing.T) {
	for name, r := range replacements {
		for _, lasting := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/lasting=%v", name, lasting), func(t *testing.T) {
				faults := []error{syscall.ENOSPC, syscall.EMFILE}
				for n := 1; shortageAt(t, r, n, faults[n%2], lasting); n++ {
				}
			})
		}
	}
}

// shortageAt runs r with a fault at its nth step, and at all steps from there if lasting
// is set. It reports whether there is such a step.
func shortageAt(t *testing.T, r replacement, n int, fault error, lasting bool) bool {
	t.Helper()
	m := storetest.NewMemory()
	cfg := config(t, m)
	var mu sync.Mutex // an idle store resumes a replacement in a goroutine of its own
	armed, count, at := false, 0, ""
	arm := func(on bool) {
		mu.Lock()
		defer mu.Unlock()
		armed = on
	}
	failing := cfg
	failing.SetStep(func(step string) error {
		mu.Lock()
		defer mu.Unlock()
		if !armed || step == "journal" { // a write into blocks that the file has meets no shortage
			return nil
		}
		if count++; count == n {
			at = step
		}
		// A tip that cannot be written to blocks that it has makes the store fail closed.
		if count == n || lasting && count > n && step != "tip" {
			return fault
		}
		return nil
	})
	s := withMaterial(t, failing, 5)
	before := stateOf(t, cfg.Dir, m)
	arm(true)
	err := r.run(s)
	arm(false)
	if err != nil && !errors.Is(err, keystore.ErrFull) && !errors.Is(err, keystore.ErrDirectory) && !errors.Is(err, fault) {
		t.Errorf("%v at %q (step %d): the call returned %v, want an error that names the shortage", fault, at, n, err)
	}
	goesOn(t, s, fmt.Sprintf("%v at %q (step %d, the call returned %v)", fault, at, n, err), err)
	again, openErr := reopen(cfg)
	if errors.Is(openErr, keystore.ErrUnlock) && r.root != nil {
		cfg.Root = r.root
		again, openErr = reopen(cfg)
	}
	if openErr != nil {
		t.Fatalf("%v at %q (step %d): Open returned %v", fault, at, n, openErr)
	}
	done := again.Version("done") > 0
	if err == nil && !done || done != (again.Version("m/due") == 0) || done != (again.LogState().Size == 2) {
		t.Errorf("%v at %q (step %d): the call returned %v; reopened: done %v, record to destroy at version %d, %d audit records",
			fault, at, n, err, done, again.Version("m/due"), again.LogState().Size)
	}
	checkRemaining(t, again, 5)
	checked(t, again)
	files := slices.Sorted(maps.Keys(stateOf(t, cfg.Dir, m).files))
	if want := slices.Sorted(maps.Keys(before.files)); !slices.Equal(files, want) {
		t.Errorf("%v at %q (step %d): the directory has %q, want %q", fault, at, n, files, want)
	}
	return at != ""
}

// TestRekeyAfterShortage: if a replacement cannot complete the earlier change that it has
// to complete first, it changes nothing, and its error is not ErrUnfinished.
func TestRekeyAfterShortage(t *testing.T) {
	cfg := config(t, storetest.NewMemory())
	var full atomic.Value // the step that fails with ENOSPC
	full.Store("")
	failing := cfg
	failing.SetStep(func(step string) error {
		if step == full.Load() {
			return syscall.ENOSPC
		}
		return nil
	})
	s := withMaterial(t, failing, 5)
	change := func(tx *keystore.Tx) error { tx.Put("meta", []byte("changed")); return nil }
	for _, step := range []string{"root aside", "root.copy aside", "drop root.next"} {
		full.Store(step)
		if err := s.ChangeEpoch(t.Context(), change); !errors.Is(err, keystore.ErrUnfinished) || !errors.Is(err, keystore.ErrFull) {
			t.Fatalf("ChangeEpoch without room for %q returned %v, want ErrUnfinished and ErrFull", step, err)
		}
		for name, r := range replacements {
			if err := r.run(s); errors.Is(err, keystore.ErrUnfinished) || !errors.Is(err, keystore.ErrFull) || s.Version("done") != 0 {
				t.Errorf("%s while %q has no room returned %v, record at version %d; want ErrFull and no change",
					name, step, err, s.Version("done"))
			}
		}
		full.Store("")
		must(t, s.FinishEpoch(t.Context()))
	}
	must(t, replacements["Rekey"].run(s))
	goesOn(t, s, "after the shortage", nil)
}

// goesOn checks that a store commits and passes its integrity check, and closes it. was is
// the error of the call before.
func goesOn(t *testing.T, s *keystore.Store, when string, was error) {
	t.Helper()
	if err := s.Failed(); err != nil {
		t.Fatalf("%s: the store failed closed: %v", when, err)
	}
	if errors.Is(was, keystore.ErrUnfinished) {
		must(t, s.FinishEpoch(context.Background()))
	}
	for _, value := range []string{"one", "two"} {
		if err := s.Commit(context.Background(), func(tx *keystore.Tx) error { tx.Put("after", []byte(value)); return nil }); err != nil {
			t.Fatalf("%s: the next Commit returned %v, want nil", when, err)
		}
	}
	checkRemaining(t, s, 5)
	checked(t, s)
}
