package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"strongroom.example/audit"
	"strongroom.example/internal/suite"
	"strongroom.example/internal/testing/auditor"
)

func verify(data []byte, vkey string) error {
	_, err := audit.VerifyExport(bytes.NewReader(data), vkey)
	return err
}

func TestVerifyExport(t *testing.T) {
	for _, id := range suites {
		l := newLog(t, id, 103)
		for _, first := range []int{0, 10, 70, 100} {
			export := l.export(t, first)
			got, last, err := audit.VerifyExportFrom(bytes.NewReader(export), l.key.Verifier(), l.before(t, first))
			want := audit.Report{Origin: audit.Origin(testVault), Records: uint64(103 - first), First: uint64(first), Last: 102, Checkpoints: uint64(11 - first/10),
				Size: 103, Root: l.tree.Root(l.states[103]), Digest: suite.ID(id).Sum(export)}
			if err != nil || got != want {
				t.Errorf("%v from %d: %+v, %v", id, first, got, err)
			}
			if point, err := audit.OpenCheckpoint(last, l.key.Verifier()); err != nil || point.Size != 103 {
				t.Errorf("%v from %d: the checkpoint to pin next is %+v, %v, want one over 103 records", id, first, point, err)
			}
			if first == 0 {
				if got, err := audit.VerifyExport(bytes.NewReader(export), l.key.Verifier()); err != nil || got != want {
					t.Errorf("VerifyExport of a whole log in suite %v: %+v, %v", id, got, err)
				}
			}
		}
	}
}

// TestBeginningIsNeeded: without its first records an export verifies only with a
// checkpoint over them, and a checkpoint verifies only with the records that it covers.
func TestBeginningIsNeeded(t *testing.T) {
	l, other := newLog(t, audit.SuiteAES, 40), newLog(t, audit.SuiteAES, 0)
	for i := range 40 {
		r := testRecord(uint64(i))
		r.Principal = "bob"
		other.add(t, r, i%10 == 9)
	}
	vkey := l.key.Verifier()
	// An attacker can remove records and write another frontier.
	short := l.export(t, 10)
	foreign := audit.Export{Vault: testVault, Suite: audit.SuiteAES, LogKey: vkey, First: 10, Frontier: other.states[10].Frontier}
	var forged bytes.Buffer
	if err := audit.WriteExport(&forged, foreign, l.all(10), l.checkpoints[1:]); !errors.Is(err, audit.ErrFault) {
		t.Errorf("WriteExport with the frontier of another log: %v, want a Fault", err)
	}
	for name, row := range map[string]struct {
		export []byte
		pinned []byte
		kind   audit.FaultKind // "" verifies
		seq    uint64
	}{
		"whole, nothing pinned":            {l.export(t, 0), nil, "", 0},
		"whole, pinned within":             {l.export(t, 0), l.before(t, 17), "", 0},
		"whole, pinned at the end":         {l.export(t, 0), l.before(t, 40), "", 0},
		"whole, pinned behind the end":     {newLog(t, audit.SuiteAES, 20).export(t, 0), l.before(t, 30), audit.Truncated, 20},
		"whole, pinned of other records":   {l.export(t, 0), other.before(t, 17), audit.Fork, 10},
		"short, nothing pinned":            {short, nil, audit.Gap, 0},
		"short, pinned there":              {short, l.before(t, 10), "", 0},
		"short, pinned of other records":   {short, other.before(t, 10), audit.Fork, 10},
		"short, pinned before":             {short, l.before(t, 7), audit.Gap, 7},
		"short, pinned behind":             {short, l.before(t, 20), audit.Gap, 0},
		"the last records, nothing pinned": {l.export(t, 30), nil, audit.Gap, 0},
	} {
		_, _, err := audit.VerifyExportFrom(bytes.NewReader(row.export), vkey, row.pinned)
		var f *audit.Fault
		if row.kind == "" && err != nil || row.kind != "" && (!errors.As(err, &f) || f.Kind != row.kind || f.Seq != row.seq) {
			t.Errorf("%s: %v, want %q of %d", name, err, row.kind, row.seq)
		}
		if row.pinned != nil {
			continue
		}
		if _, err := auditor.Verify(bytes.NewReader(row.export), vkey); (err == nil) != (row.kind == "") {
			t.Errorf("%s: the independent verifier returned %v", name, err)
		}
	}
	if _, _, err := audit.VerifyExportFrom(bytes.NewReader(short), vkey, []byte("no note")); !errors.Is(err, audit.ErrSignature) {
		t.Errorf("a pinned checkpoint that is none: %v, want ErrSignature", err)
	}
}

// TestEveryFlipIsFound flips a bit in every byte of a log of 100 records, in ten exports
// of ten. Outside of records it flips two bits, because the last character of base64 has
// unused bits.
func TestEveryFlipIsFound(t *testing.T) {
	l := newLog(t, audit.SuiteAES, 100)
	for first := 0; first < 100; first += 10 {
		block := *l
		block.leaves, block.checkpoints = l.leaves[:first+10], l.checkpoints[:first/10+1]
		flipAll(t, &block, first, 1)
	}
}

// TestFlipsInOneExport does the same in one export of the whole log, for one byte in 41.
func TestFlipsInOneExport(t *testing.T) {
	for _, id := range suites {
		flipAll(t, newLog(t, id, 100), 0, 41)
	}
}

// flipAll flips every step-th byte of the log's export from first.
func flipAll(t *testing.T, l *testLog, first, step int) {
	t.Helper()
	data, vkey, before := l.export(t, first), l.key.Verifier(), l.before(t, first)
	record, end := uint64(first), 0
	for at := 0; at < len(data); {
		line := data[end : end+bytes.IndexByte(data[end:], '\n')+1]
		isRecord := bytes.HasPrefix(line, []byte(`{"h":`))
		for end += len(line); at < end; at += step {
			f := flip(t, data, at, 1<<(at%8), vkey, before)
			if !isRecord {
				flip(t, data, at, 1, vkey, before)
			} else if f.Seq != record {
				t.Fatalf("byte %d, in record %d: %v", at, record, f)
			}
		}
		if isRecord {
			record++
		}
	}
}

func flip(t *testing.T, data []byte, at int, mask byte, vkey string, before []byte) *audit.Fault {
	t.Helper()
	data[at] ^= mask
	_, _, err := audit.VerifyExportFrom(bytes.NewReader(data), vkey, before)
	data[at] ^= mask
	var f *audit.Fault
	if !errors.As(err, &f) || !errors.Is(err, audit.ErrFault) {
		t.Fatalf("byte %d, mask %#x: %v", at, mask, err)
	}
	return f
}

func TestFaults(t *testing.T) {
	l := newLog(t, audit.SuiteAES, 30)
	export := l.export(t, 0)
	// Line 0 is the header; record s is line 1 + s + s/10; checkpoints are 11, 22, 33.
	at := func(seq int) int { return 1 + seq + seq/10 }
	for name, c := range map[string]struct {
		change func(lines [][]byte) [][]byte
		kind   audit.FaultKind
		seq    uint64
	}{
		"drop a record":            {func(s [][]byte) [][]byte { return slices.Delete(s, at(4), at(4)+1) }, audit.Gap, 4},
		"drop the last of a block": {func(s [][]byte) [][]byte { return slices.Delete(s, at(9), at(9)+1) }, audit.Gap, 9},
		"drop three":               {func(s [][]byte) [][]byte { return slices.Delete(s, at(14), at(14)+3) }, audit.Gap, 14},
		"drop a checkpoint":        {func(s [][]byte) [][]byte { return slices.Delete(s, 11, 12) }, audit.Gap, 30},
		"drop the header":          {func(s [][]byte) [][]byte { return s[1:] }, audit.Malformed, 0},
		"swap two":                 {func(s [][]byte) [][]byte { s[at(4)], s[at(5)] = s[at(5)], s[at(4)]; return s }, audit.Reordered, 4},
		"swap far":                 {func(s [][]byte) [][]byte { s[at(4)], s[at(25)] = s[at(25)], s[at(4)]; return s }, audit.Reordered, 4},
		"checkpoint too early":     {func(s [][]byte) [][]byte { s[10], s[11] = s[11], s[10]; return s }, audit.Reordered, 9},
		"checkpoint too late":      {func(s [][]byte) [][]byte { s[11], s[12] = s[12], s[11]; return s }, audit.Reordered, 10},
		"double a record":          {func(s [][]byte) [][]byte { return slices.Insert(s, at(6), s[at(6)]) }, audit.Duplicate, 6},
		"double it later":          {func(s [][]byte) [][]byte { return slices.Insert(s, at(26), s[at(6)]) }, audit.Duplicate, 6},
		"double a checkpoint":      {func(s [][]byte) [][]byte { return slices.Insert(s, 11, s[11]) }, audit.Duplicate, 10},
		"empty line":               {func(s [][]byte) [][]byte { return slices.Insert(s, at(6), []byte("\n")) }, audit.Malformed, 6},
		"long line":                {func(s [][]byte) [][]byte { return slices.Insert(s, at(6), make([]byte, 3<<20)) }, audit.Malformed, 6},
		"end at a record":          {func(s [][]byte) [][]byte { return s[:at(25)] }, audit.Truncated, 25},
		"end at a checkpoint":      {func(s [][]byte) [][]byte { return s[:23] }, audit.Truncated, 20},
		"end in a line":            {func(s [][]byte) [][]byte { s[at(25)] = s[at(25)][:40]; return s[:at(25)+1] }, audit.Truncated, 25},
		"nothing":                  {func([][]byte) [][]byte { return nil }, audit.Truncated, 0},
	} {
		lines := slices.Collect(bytes.Lines(bytes.Clone(export)))
		err := verify(bytes.Join(c.change(lines), nil), l.key.Verifier())
		var f *audit.Fault
		if !errors.As(err, &f) || f.Kind != c.kind || f.Seq != c.seq {
			t.Errorf("%s: %v, want %s of %d", name, err, c.kind, c.seq)
		}
	}
}

func TestEveryTruncationIsFound(t *testing.T) {
	l := newLog(t, audit.SuiteAES, 20)
	data := l.export(t, 0)
	for i := range data {
		if err := verify(data[:i], l.key.Verifier()); !errors.Is(err, audit.ErrFault) {
			t.Fatalf("verifying the first %d bytes: %v, want ErrFault", i, err)
		}
	}
}

// TestFork replaces the last checkpoint by that of a log that was rewritten from record
// 10 on and signed with the true key.
func TestFork(t *testing.T) {
	l, other := newLog(t, audit.SuiteAES, 20), newLog(t, audit.SuiteAES, 10)
	for seq := uint64(10); seq < 20; seq++ {
		r := testRecord(seq)
		r.Principal = "eve"
		other.add(t, r, seq == 19)
	}
	mixed := bytes.Replace(l.export(t, 0), lastLine(l.export(t, 0)), lastLine(other.export(t, 0)), 1)
	var f *audit.Fault
	if err := verify(mixed, l.key.Verifier()); !errors.As(err, &f) || f.Kind != audit.Fork || f.Seq != 10 {
		t.Error(err)
	}
	if err := l.tree.VerifyConsistency(l.point(l.states[10]), other.point(other.states[20]), nil); !errors.Is(err, audit.ErrProof) {
		t.Error(err)
	}
}

func lastLine(data []byte) []byte {
	lines := slices.Collect(bytes.Lines(data))
	return lines[len(lines)-1]
}

func TestWrongKey(t *testing.T) {
	for _, id := range suites {
		t.Run(suite.ID(id).Signature(), func(t *testing.T) { wrongKey(t, id) })
	}
}

func wrongKey(t *testing.T, id audit.Suite) {
	l := newLog(t, id, 10)
	key, err := audit.NewLogKey(id, audit.Origin(testVault), bytes.Repeat([]byte{8}, 32))
	if err != nil {
		t.Fatal(err)
	}
	var f *audit.Fault
	if err := verify(l.export(t, 0), key.Verifier()); !errors.As(err, &f) || f.Kind != audit.WrongKey {
		t.Error(err)
	}
	posing := strings.Replace(string(l.export(t, 0)), l.key.Verifier(), key.Verifier(), 1)
	if err := verify([]byte(posing), key.Verifier()); !errors.As(err, &f) || f.Kind != audit.WrongKey {
		t.Error(err)
	}
	if err := verify(nil, ""); !errors.Is(err, audit.ErrKey) {
		t.Error(err)
	}
}

// TestWrongKindOfKey: the error for a key of the other edition differs from that for a
// wrong key of the right edition.
func TestWrongKindOfKey(t *testing.T) {
	needSM(t)
	sm, ed := newLog(t, audit.SuiteSM, 10), newLog(t, audit.SuiteAES, 10)
	var f *audit.Fault
	err := verify(sm.export(t, 0), ed.key.Verifier())
	if !errors.As(err, &f) || f.Kind != audit.WrongKey || !strings.Contains(err.Error(), "a log key of SM2, and the pinned one is of Ed25519") {
		t.Error(err)
	}
	posing := strings.Replace(string(sm.export(t, 0)), sm.key.Verifier(), ed.key.Verifier(), 1)
	err = verify([]byte(posing), ed.key.Verifier())
	if !errors.As(err, &f) || f.Kind != audit.WrongKey || !strings.Contains(err.Error(), "signed by SM2") {
		t.Error(err)
	}
}

func TestReaderErrorIsNoFault(t *testing.T) {
	l := newLog(t, audit.SuiteAES, 10)
	broken := errors.New("disk on fire")
	r := io.MultiReader(bytes.NewReader(l.export(t, 0)[:500]), iotest.ErrReader(broken))
	if _, err := audit.VerifyExport(r, l.key.Verifier()); !errors.Is(err, broken) || errors.Is(err, audit.ErrFault) {
		t.Error(err)
	}
}

func TestWriteExportRefuses(t *testing.T) {
	l := newLog(t, audit.SuiteAES, 20)
	good := audit.Export{Vault: testVault, Suite: audit.SuiteAES, LogKey: l.key.Verifier()}
	vault, sm := good, good
	vault.Vault, sm.Suite = "other", audit.SuiteSM
	for name, c := range map[string]struct {
		e      audit.Export
		points [][]byte
	}{
		"no checkpoint":      {good, nil},
		"not to the end":     {good, l.checkpoints[:1]},
		"out of order":       {good, [][]byte{l.checkpoints[1], l.checkpoints[0]}},
		"another vault":      {vault, l.checkpoints},
		"another suite":      {sm, l.checkpoints},
		"a missing frontier": {audit.Export{Vault: testVault, Suite: audit.SuiteAES, LogKey: l.key.Verifier(), First: 3}, l.checkpoints},
	} {
		if err := audit.WriteExport(io.Discard, c.e, l.all(0), c.points); !errors.Is(err, audit.ErrFault) {
			t.Errorf("WriteExport with %s: %v, want ErrFault", name, err)
		}
	}
	broken := fmt.Errorf("store")
	leaves := func(yield func([]byte, error) bool) { yield(nil, broken) }
	if err := audit.WriteExport(io.Discard, good, leaves, l.checkpoints); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func FuzzVerifyExport(f *testing.F) {
	l := newLog(f, audit.SuiteAES, 12)
	for _, id := range suites {
		f.Add(newLog(f, id, 12).export(f, 10))
	}
	f.Add(l.export(f, 0))
	before := l.before(f, 10)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, pinned := range [][]byte{nil, before} {
			report, _, err := audit.VerifyExportFrom(bytes.NewReader(data), l.key.Verifier(), pinned)
			if err == nil && (report.Last != 11 && report.Last != 9 || report.Origin != audit.Origin(testVault)) {
				t.Errorf("%+v", report)
			}
			if err == nil && pinned == nil && report.First != 0 {
				t.Errorf("an export from record %d verifies against no checkpoint", report.First)
			}
			if err != nil && !errors.Is(err, audit.ErrFault) {
				t.Error(err)
			}
		}
	})
}
