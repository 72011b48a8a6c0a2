package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// sample returns the run of testdata/sample.txt, which has every kind of result.
func sample(t *testing.T) *run {
	t.Helper()
	r, err := readAll([]string{filepath.Join("testdata", "sample.txt")})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// golden compares a text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at the new picture, and write it with -update if it is right:\n%s", name, got)
	}
}

func TestParse(t *testing.T) {
	r := newRun()
	err := r.read(strings.NewReader(`commit: abc
note-softhsm: Emulator, not a hardware figure
BenchmarkSign/driver=softhsm/alg=ECDSA_P256/callers=8-2  20  100 ns/op  7 ops/s
BenchmarkSign/driver=softhsm/alg=ECDSA_P256/callers=8-2  20  300 ns/op  9 ops/s
BenchmarkSign/driver=softhsm/alg=ECDSA_P256/callers=8-2  20  200 ns/op  8 ops/s
BenchmarkHSM/Sign/driver=acme/alg=ECDSA_P256/callers=1  20  200 ns/op
BenchmarkBroken
--- BENCH: BenchmarkSign
    sweep.go:100: 2 calls failed
`))
	if err != nil {
		t.Fatal(err)
	}
	l := r.byName["Sign/driver=softhsm/alg=ECDSA_P256/callers=8"]
	if len(r.lines) != 2 || l == nil || l.Op != "Sign" || l.keys["alg"] != "ECDSA_P256" || l.number("callers") != 8 {
		t.Fatalf("%d lines, %+v", len(r.lines), l)
	}
	if v, ok := l.value("ns/op"); v != 200 || !ok {
		t.Errorf("the median of three is %v", v)
	}
	if op := r.lines[1].Op; op != "Sign" {
		t.Errorf("the operation of a user's benchmark is %q", op)
	}
	if r.first("commit") != "abc" || r.first("note-softhsm") == "" {
		t.Errorf("%v", r.config)
	}
	if err := newRun().read(strings.NewReader("BenchmarkX-2 1 abc ns/op\n")); err == nil {
		t.Error("a value that is no number was accepted")
	}
}

func TestReadAllRefusesNothing(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("commit: abc\nPASS\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, empty + "-missing"} {
		if _, err := readAll([]string{path}); err == nil {
			t.Errorf("%s gave a run", path)
		}
	}
}

func TestPlots(t *testing.T) {
	lines := sample(t).of("softhsm")
	plots := sweepPlots(lines)
	if len(plots) != 1 || len(plots[0].Legend) != 1 || plots[0].Legend[0].Knee != "4 callers, 20 k/s" || !plots[0].Legend[0].Queue {
		t.Fatalf("%+v", plots)
	}
	golden(t, "throughput.svg", string(plots[0].Throughput))
	golden(t, "latency.svg", string(plots[0].Wait))
	bars, rows := layers(lines)
	golden(t, "layers.svg", string(bars))
	if len(rows.Rows) != 2 || rows.Rows[0][2] != "1.05" || rows.Rows[0][3] != "2" || rows.Rows[0][4] != "1.5" || rows.Rows[1][2] != "–" {
		t.Errorf("%q", rows.Rows)
	}
	s := newSoak(lines)
	if s == nil || !strings.Contains(strings.Join(s.Summary, ", "), "1.2 drift-p99, 0 leaked-sessions, 3 errors:unavailable") {
		t.Fatalf("%+v", s)
	}
	golden(t, "histogram.svg", string(s.Histogram))
}

func TestLayerParts(t *testing.T) {
	l := newLine("Layers/driver=x/op=Sign/callers=8")
	for unit, v := range map[string]float64{"raw-ns/op": 10, "driver-ns/op": 9, "durable-ns/op": 30, "vault-ns/op": 36} {
		l.values[unit] = []float64{v}
	}
	if got := layerParts(l); got[0] != 10 || got[1] != 0 || got[2] != 20 || got[3] != 6 {
		t.Errorf("%v", got)
	}
}

func TestQuotas(t *testing.T) {
	list := quotas(sample(t).of("softhsm"))
	if len(list) != 2 || list[0].Name != "Encrypt 1KiB" || list[0].Times != "10 ×" || list[1].Name != "Sign ECDSA_P256" || list[1].Times != "50 ×" {
		t.Errorf("%+v", list)
	}
}

// TestPage checks that the page is whole, loads nothing, escapes what it shows, and prints
// the note of an emulator at its plots.
func TestPage(t *testing.T) {
	r := sample(t)
	r.set("go", "<script>")
	var out bytes.Buffer
	if err := renderPage(&out, newPage(r, sample(t))); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	for _, want := range []string{"</html>", "&lt;script&gt;", "prefers-color-scheme: dark", "@media print", "width=device-width", "AMD EPYC", "Comparison with the earlier run"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if n := strings.Count(page, "Emulator, not a hardware figure"); n < 6 {
		t.Errorf("the note of the emulator stands %d times", n)
	}
	if m := regexp.MustCompile(`(?i)(https?:)?//[a-z]|<script|@import|url\(`).FindString(page); m != "" {
		t.Errorf("the page may load something: %q", m)
	}
}

func TestCompareRuns(t *testing.T) {
	before, after := newRun(), newRun()
	for r, text := range map[*run]string{
		before: "BenchmarkA/driver=x 1 100 ops/s\nBenchmarkB/driver=x 1 2 x-vault\nBenchmarkC/driver=x 1 100 ops/s\n",
		after:  "BenchmarkA/driver=x 1 200 ops/s\nBenchmarkB/driver=x 1 4 x-vault\nBenchmarkC/driver=x 1 95 ops/s\nBenchmarkD/driver=x 1 1 ops/s\n",
	} {
		if err := r.read(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	list := compareRuns(before, after)
	if len(list) != 3 || !list[0].Better || list[0].Worse || !list[1].Worse || list[2].Better || list[2].Worse {
		t.Errorf("%+v", list)
	}
}

func TestGuard(t *testing.T) {
	baseline := filepath.Join(t.TempDir(), "baseline")
	text := "BenchmarkLayers/driver=soft/op=Encrypt 1 1.0 x-vault 500 vault-ops/s\nBenchmarkGone/driver=soft 1 1 x-vault\n"
	if err := os.WriteFile(baseline, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		run  string
		fail bool
	}{
		{"BenchmarkLayers/driver=soft/op=Encrypt-2 1 1.4 x-vault 1 vault-ops/s\n", false},
		{"BenchmarkLayers/driver=soft/op=Encrypt-2 1 1.6 x-vault\n", true},
		{"BenchmarkLayers/driver=soft/op=Encrypt-2 1 0.2 x-vault\n", false},
	} {
		r := newRun()
		if err := r.read(strings.NewReader(c.run)); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err := compareRatios(&out, baseline, r, 0.5)
		if errors.Is(err, errWorse) != c.fail || (err != nil) != c.fail || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s: %v\n%s", c.run, err, out.String())
		}
	}
	if err := compareRatios(&bytes.Buffer{}, baseline, newRun(), 0.5); err == nil || errors.Is(err, errWorse) {
		t.Errorf("a run without ratios: %v", err)
	}
}

// TestBaseline writes the ratios of a run and compares the run with them.
func TestBaseline(t *testing.T) {
	r := sample(t)
	var out bytes.Buffer
	if err := writeBaseline(&out, r); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "baseline")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "x-durable") || strings.Contains(out.String(), "ops/s") {
		t.Errorf("the baseline has more than ratios of the code:\n%s", out.String())
	}
	var rows bytes.Buffer
	if err := compareRatios(&rows, path, r, 0); err != nil || strings.Count(rows.String(), "ok ") != 3 {
		t.Errorf("%v\n%s", err, rows.String())
	}
}

func TestFormats(t *testing.T) {
	for want, got := range map[string]string{
		"12.3 µs": duration(12_300), "450 ns": duration(450), "1.5 s": duration(1.5e9), "100 ms": duration(1e8),
		"20 k/s": rate(20_000), "7 /s": rate(7), "1.31 M/s": rate(1.311e6), "0": digits(0), "0.85": digits(0.8506),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
