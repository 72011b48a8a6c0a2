package audit_test

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/suite"
	"strongroom.example/internal/testing/auditor"
)

// cut returns the cut that removes the records from first up to size.
func (l *testLog) cut(first, size int) audit.Cut {
	return audit.Cut{
		Origin: audit.Origin(testVault), First: uint64(first), Size: uint64(size),
		Root: l.tree.Root(l.states[size]), Frontier: l.states[size].Frontier,
		Export: suite.ID(l.tree.Suite).Sum([]byte("the export")), Principal: "ann \"ü\"\n", Time: time.Date(2026, 1, 2, 3, 4, 5, 60, time.UTC),
	}
}

func (l *testLog) signCut(t testing.TB, c audit.Cut) []byte {
	t.Helper()
	text, err := l.key.SignCut(c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestCut(t *testing.T) {
	for _, id := range suites {
		l := newLog(t, id, 103)
		vkey, want := l.key.Verifier(), l.cut(10, 70)
		text := l.signCut(t, want)
		if got, err := audit.OpenCut(text, vkey); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("OpenCut in suite %v: %+v, %v, want %+v", id, got, err, want)
		}
		if _, err := audit.OpenCheckpoint(text, vkey); !errors.Is(err, audit.ErrCheckpoint) {
			t.Errorf("OpenCheckpoint of a cut: %v, want ErrCheckpoint", err)
		}
		if _, err := audit.OpenReceipt(text, vkey); !errors.Is(err, audit.ErrReceipt) {
			t.Errorf("OpenReceipt of a cut: %v, want ErrReceipt", err)
		}
		if _, err := audit.OpenCut(l.before(t, 70), vkey); !errors.Is(err, audit.ErrCut) {
			t.Errorf("OpenCut of a checkpoint: %v, want ErrCut", err)
		}
		for i := range text {
			text[i] ^= 1
			if _, err := audit.OpenCut(text, vkey); err == nil {
				t.Fatalf("OpenCut with byte %d flipped: nil, want an error", i)
			}
			text[i] ^= 1
		}
	}
}

// TestCutRefused: SignCut signs no statement that could not be true.
func TestCutRefused(t *testing.T) {
	l := newLog(t, audit.SuiteAES, 40)
	for name, change := range map[string]func(*audit.Cut){
		"another origin":        func(c *audit.Cut) { c.Origin += "x" },
		"no record":             func(c *audit.Cut) { c.First = c.Size },
		"another root":          func(c *audit.Cut) { c.Root[0] ^= 1 },
		"another size":          func(c *audit.Cut) { c.Size++ },
		"another frontier":      func(c *audit.Cut) { c.Frontier = l.states[24].Frontier },
		"no frontier":           func(c *audit.Cut) { c.Frontier = nil },
		"a longer frontier":     func(c *audit.Cut) { c.Frontier = append(slices.Clone(c.Frontier), [32]byte{}) },
		"a time without a year": func(c *audit.Cut) { c.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		c := l.cut(0, 30)
		change(&c)
		if _, err := l.key.SignCut(c); !errors.Is(err, audit.ErrCut) {
			t.Errorf("SignCut with %s: %v, want ErrCut", name, err)
		}
	}
}

// TestExportAfterCut: the rest of a log verifies from the cut, and only from it or a
// checkpoint of its size.
func TestExportAfterCut(t *testing.T) {
	for _, id := range suites {
		l := newLog(t, id, 103)
		rest, vkey := l.export(t, 70), l.key.Verifier()
		got, last, err := audit.VerifyExportFrom(bytes.NewReader(rest), vkey, l.signCut(t, l.cut(0, 70)))
		if err != nil || got.First != 70 || got.Records != 33 || last == nil {
			t.Errorf("VerifyExportFrom a cut in suite %v: %+v, %v", id, got, err)
		}
		for name, text := range map[string][]byte{"nothing": nil, "an earlier cut": l.signCut(t, l.cut(0, 60)), "a later cut": l.signCut(t, l.cut(0, 80))} {
			if _, _, err := audit.VerifyExportFrom(bytes.NewReader(rest), vkey, text); !errors.Is(err, audit.ErrFault) {
				t.Errorf("VerifyExportFrom %s in suite %v: %v, want ErrFault", name, id, err)
			}
		}
	}
}

// TestConsecutiveExports: exports that follow each other verify as one, and each fault at
// their ends is found.
func TestConsecutiveExports(t *testing.T) {
	l := newLog(t, audit.SuiteAES, 103)
	part := func(first, end int) []byte {
		p := *l
		p.leaves = l.leaves[:end]
		p.checkpoints = slices.Clone(l.checkpoints[:(end+9)/10])
		return p.export(t, first)
	}
	other := newLog(t, audit.SuiteAES, 0)
	for i := range 40 {
		r := testRecord(uint64(i))
		r.Principal = "bob"
		other.add(t, r, i%10 == 9)
	}
	vkey := l.key.Verifier()
	all := [][]byte{part(0, 40), part(40, 70), part(70, 103)}
	got, _, err := audit.VerifyExportFrom(bytes.NewReader(bytes.Join(all, nil)), vkey, l.before(t, 55))
	if err != nil || got.Records != 103 || got.First != 0 || got.Last != 102 || got.Root != l.tree.Root(l.states[103]) || got.Digest != suite.ID(l.tree.Suite).Sum(bytes.Join(all, nil)) {
		t.Errorf("VerifyExportFrom of three parts: %+v, %v", got, err)
	}
	if r, err := auditor.Verify(bytes.NewReader(bytes.Join(all, nil)), vkey); err != nil || r.Records != 103 {
		t.Errorf("the independent verifier over three parts: %+v, %v", r, err)
	}
	for name, row := range map[string]struct {
		parts [][]byte
		pin   []byte
		kind  audit.FaultKind
		seq   uint64
	}{
		"a part is missing":          {[][]byte{all[0], all[2]}, nil, audit.Gap, 40},
		"a part is there twice":      {[][]byte{all[0], all[1], all[1]}, nil, audit.Duplicate, 40},
		"the whole log twice":        {[][]byte{part(0, 40), part(0, 40)}, nil, audit.Duplicate, 0},
		"a part is cut":              {[][]byte{all[0][:len(all[0])-400], all[1]}, nil, audit.Malformed, 39},
		"the last checkpoint is off": {[][]byte{all[0][:bytes.LastIndexByte(all[0][:len(all[0])-1], '\n')+1], all[1]}, nil, audit.Truncated, 40},
		"parts of two logs":          {[][]byte{other.export(t, 0), all[1]}, nil, audit.Fork, 40},
		"pinned behind the end":      {all[:2], l.before(t, 80), audit.Truncated, 70},
	} {
		_, _, err := audit.VerifyExportFrom(bytes.NewReader(bytes.Join(row.parts, nil)), vkey, row.pin)
		var f *audit.Fault
		if !errors.As(err, &f) || f.Kind != row.kind || f.Seq != row.seq {
			t.Errorf("%s: %v, want %q of %d", name, err, row.kind, row.seq)
		}
		if row.pin != nil {
			continue
		}
		if _, err := auditor.Verify(bytes.NewReader(bytes.Join(row.parts, nil)), vkey); err == nil {
			t.Errorf("%s: the independent verifier returned nil, want an error", name)
		}
	}
}

// TestGoldenCut: the signed cuts in testdata open for ever.
func TestGoldenCut(t *testing.T) {
	for _, id := range suites {
		name := map[audit.Suite]string{audit.SuiteAES: "testdata/cut.note", audit.SuiteSM: "testdata/cut-sm.note"}[id]
		l := newLog(t, id, 103)
		want := l.cut(10, 70)
		if *update {
			if err := os.WriteFile(name, l.signCut(t, want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := audit.OpenCut(text, l.key.Verifier()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
		signed, _, _ := strings.Cut(string(l.signCut(t, want)), "\n\n")
		if golden, _, _ := strings.Cut(string(text), "\n\n"); golden != signed {
			t.Errorf("%s has another text than SignCut writes:\n%s\n%s", name, golden, signed)
		}
	}
}

// TestCutAndCheckpoint verifies an export that begins behind a cut against the cut and
// checkpoints that were made after it.
func TestCutAndCheckpoint(t *testing.T) {
	for _, id := range suites {
		l := newLog(t, id, 103)
		cut, earlier, later := l.signCut(t, l.cut(0, 70)), l.before(t, 60), l.before(t, 90)
		export := l.export(t, 70)
		other := l.point(l.states[89])
		other.Size = 90
		forked, err := l.key.Sign(other)
		if err != nil {
			t.Fatal(err)
		}
		whole := newLog(t, id, 110)
		for _, row := range []struct {
			name string
			pins [][]byte
			want audit.FaultKind
		}{
			{"the cut, then a checkpoint", [][]byte{cut, later}, ""},
			{"a checkpoint, then the cut", [][]byte{later, nil, cut, later}, ""},
			{"a checkpoint alone", [][]byte{later}, audit.Gap},
			{"an earlier checkpoint too", [][]byte{cut, later, earlier}, audit.Gap},
			{"a checkpoint of other records", [][]byte{cut, forked}, audit.Fork},
			{"a checkpoint beyond the export", [][]byte{cut, later, whole.before(t, 110)}, audit.Truncated},
		} {
			var f *audit.Fault
			_, _, err := audit.VerifyExportFrom(bytes.NewReader(export), l.key.Verifier(), row.pins...)
			if row.want == "" && err != nil || row.want != "" && (!errors.As(err, &f) || f.Kind != row.want) {
				t.Errorf("suite %v, %s: %v, want %v", id, row.name, err, row.want)
			}
		}
	}
}
