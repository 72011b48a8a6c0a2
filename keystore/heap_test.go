package keystore_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"strongroom.example/internal/suite"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// TestCensusLeavesNoPlaintext: opening and checking a store leaves no record's plaintext
// on the heap.
func TestCensusLeavesNoPlaintext(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // keeps garbage on the heap, so that the test finds it
	cfg := config(t, storetest.NewMemory())
	secret, masked := make([]byte, 32), make([]byte, 32)
	rand.Read(secret)
	for i := range secret {
		masked[i] = ^secret[i]
	}
	s := create(t, cfg)
	must(t, s.Commit(t.Context(), func(tx *keystore.Tx) error {
		tx.PutMaterial("secret", secret)
		return nil
	}))
	must(t, s.Close())
	if n := onHeap(t, masked); n == 0 {
		t.Fatal("the search did not find a secret that is on the heap")
	}
	suite.Wipe(secret)
	s, err := reopen(cfg)
	must(t, err)
	must(t, s.Check(t.Context()))
	if n := onHeap(t, masked); n > 0 {
		t.Errorf("%d copies of a record's value on the heap, want 0", n)
	}
	must(t, s.Close())
}

// onHeap counts the copies of a secret, given its complement, on the Go heap.
func onHeap(t *testing.T, masked []byte) int {
	t.Helper()
	dump, err := os.Create(filepath.Join(t.TempDir(), "heap"))
	must(t, err)
	defer dump.Close()
	debug.WriteHeapDump(dump.Fd())
	content, err := os.ReadFile(dump.Name())
	must(t, err)
	defer clear(content)
	for i := range content {
		content[i] = ^content[i]
	}
	return bytes.Count(content, masked)
}
