package audit_test

import (
	"errors"
	"fmt"
	"testing"

	"strongroom.example/audit"
)

var errGone = errors.New("the records are gone")

// kept has the nodes of the records of a log from first on.
type kept struct {
	*testLog
	first int
}

func (k kept) Node(level uint, index uint64) ([32]byte, error) {
	if index<<level < uint64(k.first) {
		return [32]byte{}, fmt.Errorf("node %d of level %d has removed records", index, level)
	}
	return k.testLog.Node(level, index)
}

// TestProofsAfterCut cuts a log at every record. Every record that is kept has proofs in
// every tree that has it, all trees of the size of the cut and larger have proofs of their
// consistency, and no other proof exists.
func TestProofsAfterCut(t *testing.T) {
	const size = 37
	l := newLog(t, audit.SuiteAES, size)
	for first := 1; first <= size; first++ {
		nodes := l.tree.Without(audit.LogGap{After: l.states[first], Err: errGone}, kept{l, first})
		for n := 1; n <= size; n++ {
			for i := range n {
				path, err := l.tree.Inclusion(nodes, uint64(i), uint64(n))
				if i >= first && (err != nil || l.tree.VerifyInclusion(l.leaves[i], uint64(i), l.point(l.states[n]), path) != nil) {
					t.Errorf("record %d of %d after a cut at %d: %v", i, n, first, err)
				}
				if i < first && err != nil && !errors.Is(err, errGone) {
					t.Errorf("record %d of %d, which a cut at %d removed: %v, want the error of the gap", i, n, first, err)
				}
				path, err = l.tree.Consistency(nodes, uint64(i), uint64(n))
				if i >= first && (err != nil || l.tree.VerifyConsistency(l.point(l.states[i]), l.point(l.states[n]), path) != nil) {
					t.Errorf("from %d to %d after a cut at %d: %v", i, n, first, err)
				}
				if i < first && err != nil && !errors.Is(err, errGone) {
					t.Errorf("from %d to %d, which a cut at %d removed: %v, want the error of the gap", i, n, first, err)
				}
			}
		}
	}
	nodes := l.tree.Without(audit.LogGap{After: l.states[30], Err: errGone}, kept{l, 30})
	if _, err := l.tree.Inclusion(nodes, 3, 37); !errors.Is(err, errGone) {
		t.Errorf("a record that was removed: %v, want the error of the gap", err)
	}
	if _, err := l.tree.Consistency(nodes, 7, 37); !errors.Is(err, errGone) {
		t.Errorf("a tree that was removed: %v, want the error of the gap", err)
	}
}

// lacks has the nodes of a log that need no record from a to b.
type lacks struct {
	Nodes audit.Nodes
	a, b  int
}

func (n lacks) Node(level uint, index uint64) ([32]byte, error) {
	if index<<level < uint64(n.b) && (index+1)<<level > uint64(n.a) {
		return [32]byte{}, fmt.Errorf("node %d of level %d has records of a gap", index, level)
	}
	return n.Nodes.Node(level, index)
}

// TestProofsAroundGaps makes two gaps in a log. Every proof that is given is right, every
// record behind the gaps has one, and one that does not exist has the error of a gap.
func TestProofsAroundGaps(t *testing.T) {
	const size = 37
	l := newLog(t, audit.SuiteAES, size)
	for _, gaps := range [][4]int{{0, 5, 9, 20}, {3, 4, 4, 9}, {8, 16, 20, 32}, {1, 17, 35, 36}, {0, 16, 17, 37}} {
		var nodes audit.Nodes = lacks{lacks{l, gaps[0], gaps[1]}, gaps[2], gaps[3]}
		for _, g := range [][]int{gaps[:2], gaps[2:]} {
			nodes = l.tree.Without(audit.LogGap{From: uint64(g[0]), After: l.states[g[1]], Err: errGone}, nodes)
		}
		for n := 1; n <= size; n++ {
			for i := range n {
				path, err := l.tree.Inclusion(nodes, uint64(i), uint64(n))
				if errors.Is(err, errGone) && i < gaps[3] {
				} else if err != nil || l.tree.VerifyInclusion(l.leaves[i], uint64(i), l.point(l.states[n]), path) != nil {
					t.Errorf("record %d of %d, gaps %d: %v", i, n, gaps, err)
				}
				path, err = l.tree.Consistency(nodes, uint64(i), uint64(n))
				if errors.Is(err, errGone) && i < gaps[3] {
				} else if err != nil || l.tree.VerifyConsistency(l.point(l.states[i]), l.point(l.states[n]), path) != nil {
					t.Errorf("from %d to %d, gaps %d: %v", i, n, gaps, err)
				}
			}
		}
	}
}
