package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"strongroom.example/audit"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is frozen:\n got %s\nwant %s", name, got, want)
	}
}

func TestGolden(t *testing.T) {
	golden(t, "record.json", fullRecord().Append(nil))
	golden(t, "export.vkey", []byte(newLog(t, audit.SuiteAES, 0).key.Verifier()))
	golden(t, "export.jsonl", newLog(t, audit.SuiteAES, 12).export(t, 0))
}

// TestGoldenSM: an SM2 signature differs each time, so checkpoints cannot be compared
// with the golden file. All lines before them are compared, and the checkpoint in the
// file must verify.
func TestGoldenSM(t *testing.T) {
	needSM(t)
	l := newLog(t, audit.SuiteSM, 12)
	golden(t, "export-sm.vkey", []byte(l.key.Verifier()))
	export := l.export(t, 10)
	if *update {
		golden(t, "export-sm.jsonl", export)
	}
	frozen, err := os.ReadFile("testdata/export-sm.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	part := func(data []byte) []byte { before, _, _ := bytes.Cut(data, []byte(`{"checkpoint"`)); return before }
	if !bytes.Equal(part(frozen), part(export)) {
		t.Errorf("export-sm.jsonl is frozen:\n got %s\nwant %s", part(export), part(frozen))
	}
	if _, _, err := audit.VerifyExportFrom(bytes.NewReader(frozen), l.key.Verifier(), l.before(t, 10)); err != nil {
		t.Error(err)
	}
}

func TestRecordRoundTrip(t *testing.T) {
	for _, r := range []audit.Record{{}, testRecord(0), fullRecord(), {Phase: audit.Outcome}, {Uptime: -1}} {
		leaf := r.Append(nil)
		got, err := audit.ParseRecord(leaf)
		if err != nil {
			t.Fatalf("ParseRecord(%s): %v", leaf, err)
		}
		if !reflect.DeepEqual(got, r) {
			t.Errorf("got %+v, want %+v", got, r)
		}
	}
}

func TestAppendAlwaysParses(t *testing.T) {
	for name, r := range map[string]audit.Record{
		"bad UTF-8":  {Principal: "a\xff\xc3", Detail: map[string]string{"\xff": "1", "\xfe": "2", "\ufffd": "3", "z": "\xff"}},
		"early time": {Time: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)},
		"late time":  {Time: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)},
		"zone":       {Time: time.Date(2026, 1, 1, 0, 0, 0, 5, time.FixedZone("x", 3600))},
		"many":       {Detail: map[string]string{"1": "", "2": "", "3": "", "4": "", "5": "", "6": "", "7": "", "8": "", "9": ""}},
		"empty hash": {ContextHash: []byte{}},
	} {
		leaf := r.Append(nil)
		if !json.Valid(leaf) {
			t.Errorf("Append of a record with %s: not JSON: %s", name, leaf)
		}
		if _, err := audit.ParseRecord(leaf); err != nil {
			t.Errorf("ParseRecord of a record with %s, %s: %v", name, leaf, err)
		}
		if again := r.Append(nil); !bytes.Equal(leaf, again) {
			t.Errorf("Append of a record with %s: %s, and then %s", name, leaf, again)
		}
	}
}

func TestParseRecordIsStrict(t *testing.T) {
	for _, s := range []string{
		``, `null`, `[]`, `{}`, `{"seq":01}`, `{"seq":1.0}`, `{"seq":-1}`, `{"seq": 1}`, `{"seq":1} `, `{"SEQ":1}`, `{"seq":1,"seq":1}`,
		`{"seq":1,"x":2}`, `{"seq":1,"boot":""}`, `{"seq":1,"count":0}`, `{"boot":"a","seq":1}`, `{"seq":1,"boot":"\u0061"}`,
		`{"seq":1,"boot":"\/"}`, `{"seq":1,"time":"2026-01-02T03:04:05Z"}`, `{"seq":1,"time":"2026-01-02T03:04:05.000000000+00:00"}`,
		`{"seq":1,"context_hash":"AB=="}`, `{"seq":1,"detail":{}}`, `{"seq":1,"detail":{"b":"","a":""}}`, `{"seq":1,"phase":"OUTCOME"}`,
		"{\"seq\":1,\"boot\":\"\xff\"}", `{"seq":18446744073709551616}`, `{"seq":1}{"seq":1}`,
	} {
		if _, err := audit.ParseRecord([]byte(s)); !errors.Is(err, audit.ErrRecord) {
			t.Errorf("ParseRecord(%s): %v, want ErrRecord", s, err)
		}
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	r, buf := fullRecord(), make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { buf = r.Append(buf[:0]) }); n != 0 {
		t.Errorf("Append to a buffer with space: %v allocations, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() { buf = r.Append(nil) }); n > 1 {
		t.Errorf("Append to nil: %v allocations, want at most 1", n)
	}
}

func TestFilter(t *testing.T) {
	r := fullRecord()
	for i, c := range []struct {
		f    audit.Filter
		want bool
	}{
		{audit.Filter{}, true},
		{audit.Filter{From: r.Time, To: r.Time.Add(1)}, true},
		{audit.Filter{To: r.Time}, false},
		{audit.Filter{From: r.Time.Add(1)}, false},
		{audit.Filter{Principal: "ann", Operation: "Encrypt", Key: r.Key, Result: audit.Failed}, true},
		{audit.Filter{Principal: "bob"}, false},
		{audit.Filter{Operation: "Decrypt"}, false},
		{audit.Filter{Key: "x"}, false},
		{audit.Filter{Result: audit.OK}, false},
	} {
		if c.f.Match(r) != c.want {
			t.Errorf("case %d: %+v", i, c.f)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add(fullRecord().Append(nil))
	f.Add([]byte(`{"seq":1,"detail":{"a":"\n"}}`))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		r, err := audit.ParseRecord(leaf)
		if err == nil && !bytes.Equal(r.Append(nil), leaf) {
			t.Errorf("ParseRecord(%s): the record is encoded differently", leaf)
		}
	})
}

func FuzzAppend(f *testing.F) {
	f.Add(uint64(1), int64(5), "a\xff", "k\xff", "v")
	f.Fuzz(func(t *testing.T, seq uint64, sec int64, s, k, v string) {
		r := audit.Record{Seq: seq, Time: time.Unix(sec, 1), Reason: s, Principal: v, Detail: map[string]string{k: v, s: k}}
		leaf := r.Append(nil)
		if _, err := audit.ParseRecord(leaf); err != nil {
			t.Errorf("%q: %v", leaf, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	r, buf := fullRecord(), make([]byte, 0, 2048)
	b.ReportAllocs()
	for b.Loop() {
		buf = r.Append(buf[:0])
	}
}

// FuzzRecordTime: a record with any time has an encoding that parses, and is encoded
// again to the same bytes.
func FuzzRecordTime(f *testing.F) {
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)} {
		f.Add(at.Unix(), int64(at.Nanosecond()))
	}
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64))
	f.Add(int64(math.MinInt64), int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, sec, nsec int64) {
		leaf := audit.Record{Time: time.Unix(sec, nsec)}.Append(nil)
		r, err := audit.ParseRecord(leaf)
		if err != nil || r.Time.Year() < 0 || r.Time.Year() > 9999 {
			t.Fatalf("ParseRecord(%s) = %v, %v", leaf, r.Time, err)
		}
		if again := r.Append(nil); !bytes.Equal(again, leaf) {
			t.Errorf("record %s is encoded as %s after ParseRecord", leaf, again)
		}
	})
}
