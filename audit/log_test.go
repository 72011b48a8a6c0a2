package audit_test

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/suite"
)

const testVault = "0123456789abcdef0123456789abcdef"

// suites are the suites that this process can use.
var suites = slices.DeleteFunc([]audit.Suite{audit.SuiteAES, audit.SuiteSM}, func(id audit.Suite) bool { return !suite.ID(id).Usable() })

func needSM(t *testing.T) {
	t.Helper()
	if !suite.ID(audit.SuiteSM).Usable() {
		t.Skip("this process enforces FIPS 140, which refuses the SM algorithms")
	}
}

// testLog is a log in memory: all leaves, all nodes, and a checkpoint for every ten
// records and at the end.
type testLog struct {
	tree        audit.Tree
	key         *audit.LogKey
	leaves      [][]byte
	states      []audit.State
	nodes       map[[2]uint64][32]byte
	checkpoints [][]byte
}

func newLog(t testing.TB, id audit.Suite, n int) *testLog {
	t.Helper()
	key, err := audit.NewLogKey(id, audit.Origin(testVault), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	l := &testLog{tree: audit.Tree{Suite: id}, key: key, states: []audit.State{{}}, nodes: map[[2]uint64][32]byte{}}
	for i := range n {
		l.add(t, testRecord(uint64(i)), i%10 == 9 || i == n-1)
	}
	return l
}

func (l *testLog) add(t testing.TB, r audit.Record, sign bool) {
	t.Helper()
	leaf := r.Append(nil)
	s := l.tree.Extend(l.states[len(l.states)-1], [][]byte{leaf}, func(level uint, index uint64, hash [32]byte) {
		l.nodes[[2]uint64{uint64(level), index}] = hash
	})
	l.leaves, l.states = append(l.leaves, leaf), append(l.states, s)
	if sign {
		l.checkpoints = append(l.checkpoints, l.sign(t, s))
	}
}

func (l *testLog) point(s audit.State) audit.Checkpoint {
	return audit.Checkpoint{Origin: audit.Origin(testVault), Size: s.Size, Root: l.tree.Root(s)}
}

func (l *testLog) sign(t testing.TB, s audit.State) []byte {
	t.Helper()
	text, err := l.key.Sign(l.point(s))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (l *testLog) Node(level uint, index uint64) ([32]byte, error) {
	hash, ok := l.nodes[[2]uint64{uint64(level), index}]
	if !ok {
		return hash, fmt.Errorf("no node %d of level %d", index, level)
	}
	return hash, nil
}

func (l *testLog) all(first int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, leaf := range l.leaves[first:] {
			if !yield(leaf, nil) {
				return
			}
		}
	}
}

// export returns the export of the log from first, a multiple of ten.
func (l *testLog) export(t testing.TB, first int) []byte {
	t.Helper()
	e := audit.Export{Vault: testVault, Suite: l.tree.Suite, LogKey: l.key.Verifier(), First: uint64(first)}
	if first > 0 {
		e.Frontier = l.states[first].Frontier
	}
	var buf bytes.Buffer
	if err := audit.WriteExport(&buf, e, l.all(first), l.checkpoints[first/10:]); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// before returns a checkpoint over the records before first, or nil if there are none.
func (l *testLog) before(t testing.TB, first int) []byte {
	t.Helper()
	if first == 0 {
		return nil
	}
	return l.sign(t, l.states[first])
}

func testRecord(seq uint64) audit.Record {
	return audit.Record{Seq: seq, Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC).Add(time.Duration(seq) * time.Second),
		Principal: "ann", Operation: "Encrypt", Result: audit.OK}
}

func fullRecord() audit.Record {
	r := testRecord(17)
	r.BootID, r.Uptime = "000102030405060708090a0b0c0d0e0f", 90*time.Minute
	r.Key, r.KeyVersion, r.Algorithm = "00112233445566778899aabbccddeeff", 3, "HMAC_SHA_256"
	r.ContextHash, r.RequestID, r.Reason = bytes.Repeat([]byte{9}, 32), "req-1", "why <\"not\"> & \\ \n\x01\u2028é"
	r.Phase, r.Intent, r.Decision, r.Rule = audit.Outcome, 12, "ALLOW", "owner"
	r.Result, r.Error, r.Driver = audit.Failed, "unavailable", "soft"
	r.InputSize, r.OutputSize, r.Count = 1024, 1142, 2
	r.Detail = map[string]string{"to": "Disabled", "from": "Enabled", "alias": ""}
	return r
}
