package audit_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"strongroom.example/audit"
)

func toTlog(path [][32]byte) []tlog.Hash {
	out := make([]tlog.Hash, len(path))
	for i, h := range path {
		out[i] = h
	}
	return out
}

// TestProofsByTlog verifies proofs with package tlog, which shares no code with the tree
// or its proofs.
func TestProofsByTlog(t *testing.T) {
	l := newLog(t, audit.SuiteAES, 1000)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		size := 1 + rnd.Uint64N(1000)
		index, from := rnd.Uint64N(size), 1+rnd.Uint64N(size)
		root := tlog.Hash(l.tree.Root(l.states[size]))
		path, err := l.tree.Inclusion(l, index, size)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckRecord(toTlog(path), int64(size), root, int64(index), tlog.RecordHash(l.leaves[index])); err != nil {
			t.Fatalf("leaf %d of %d: %v", index, size, err)
		}
		path, err = l.tree.Consistency(l, from, size)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckTree(toTlog(path), int64(size), root, int64(from), tlog.Hash(l.tree.Root(l.states[from]))); err != nil {
			t.Fatalf("from %d to %d: %v", from, size, err)
		}
	}
}

func TestVerifyProofs(t *testing.T) {
	for _, id := range suites {
		l := newLog(t, id, 40)
		for size := uint64(1); size <= 40; size++ {
			for i := range size {
				checkInclusion(t, l, i, size)
			}
			for from := range size + 1 {
				checkConsistency(t, l, from, size)
			}
		}
	}
}

func checkInclusion(t *testing.T, l *testLog, index, size uint64) {
	t.Helper()
	in := l.point(l.states[size])
	path, err := l.tree.Inclusion(l, index, size)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.tree.VerifyInclusion(l.leaves[index], index, in, path); err != nil {
		t.Fatal(err)
	}
	if err := l.tree.VerifyInclusion([]byte("x"), index, in, path); !errors.Is(err, audit.ErrProof) {
		t.Fatalf("VerifyInclusion of another leaf: %v, want ErrProof", err)
	}
	for i := range path {
		path[i][i%32] ^= 1
		if err := l.tree.VerifyInclusion(l.leaves[index], index, in, path); !errors.Is(err, audit.ErrProof) {
			t.Fatalf("VerifyInclusion with hash %d flipped: %v, want ErrProof", i, err)
		}
		path[i][i%32] ^= 1
	}
}

func checkConsistency(t *testing.T, l *testLog, from, to uint64) {
	t.Helper()
	a, b := l.point(l.states[from]), l.point(l.states[to])
	path, err := l.tree.Consistency(l, from, to)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.tree.VerifyConsistency(a, b, path); err != nil {
		t.Fatalf("VerifyConsistency from %d to %d: %v", from, to, err)
	}
	a.Root[0] ^= 1
	if err := l.tree.VerifyConsistency(a, b, path); !errors.Is(err, audit.ErrProof) {
		t.Fatalf("VerifyConsistency with another root, from %d to %d: %v, want ErrProof", from, to, err)
	}
	a.Root[0] ^= 1
	a.Origin = "other"
	if err := l.tree.VerifyConsistency(a, b, path); !errors.Is(err, audit.ErrProof) {
		t.Fatalf("VerifyConsistency with a checkpoint of another log: %v, want ErrProof", err)
	}
}

func TestProofRange(t *testing.T) {
	l := newLog(t, audit.SuiteAES, 3)
	if _, err := l.tree.Inclusion(l, 3, 3); !errors.Is(err, audit.ErrRange) {
		t.Error(err)
	}
	if _, err := l.tree.Consistency(l, 3, 2); !errors.Is(err, audit.ErrRange) {
		t.Error(err)
	}
	if _, err := l.tree.Inclusion(l, 0, 100); err == nil {
		t.Error("Inclusion without the nodes returned no error")
	}
}

func TestExtendLeavesItsState(t *testing.T) {
	l := newLog(t, audit.SuiteAES, 7)
	before := l.tree.Root(l.states[7])
	for range 3 {
		l.tree.Extend(l.states[7], [][]byte{{1}, {2}}, nil)
	}
	if l.tree.Root(l.states[7]) != before || l.states[7].Size != 7 {
		t.Error("Extend changed its argument")
	}
	batch := l.tree.Extend(audit.State{}, l.leaves, nil)
	if l.tree.Root(batch) != before {
		t.Error("Extend gives another root for one batch than for several")
	}
}
