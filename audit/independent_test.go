package audit_test

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// The key of testdata/export.jsonl, pinned as a reader of it would.
const goldenKeyFile = "testdata/export.vkey"

type exportLine struct {
	Hash       tlog.Hash       `json:"h"`
	Record     json.RawMessage `json:"r"`
	Checkpoint string          `json:"checkpoint"`
}

// TestIndependent verifies an export by a public key with encoding/json and the Go
// checksum database's packages alone. Nothing of this module takes part.
func TestIndependent(t *testing.T) {
	vkey, err := os.ReadFile(goldenKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(string(vkey))
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open("testdata/export.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	scan := bufio.NewScanner(file)
	scan.Scan() // the header
	var stored []tlog.Hash
	var size, checkpoints int64
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, n := range indexes {
			out[i] = stored[n]
		}
		return out, nil
	})
	covered := false
	for scan.Scan() {
		var line exportLine
		if err := json.Unmarshal(scan.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if covered = line.Record == nil; covered {
			checkIndependently(t, line.Checkpoint, verifier, size, reader)
			checkpoints++
			continue
		}
		var record struct{ Seq int64 }
		if err := json.Unmarshal(line.Record, &record); err != nil || record.Seq != size {
			t.Fatal(record.Seq, size, err)
		}
		if tlog.RecordHash(line.Record) != line.Hash {
			t.Fatalf("record %d: not its hash", size)
		}
		hashes, err := tlog.StoredHashes(size, line.Record, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
		size++
	}
	if scan.Err() != nil || !covered || size != 12 || checkpoints != 2 {
		t.Error(scan.Err(), covered, size, checkpoints)
	}
}

func checkIndependently(t *testing.T, text string, verifier note.Verifier, size int64, reader tlog.HashReader) {
	t.Helper()
	signed, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	root, err := tlog.TreeHash(size, reader)
	if err != nil {
		t.Fatal(err)
	}
	const want = "strongroom.example/0123456789abcdef0123456789abcdef\n"
	if got := signed.Text; got != want+itoa(size)+"\n"+root.String()+"\n" {
		t.Errorf("checkpoint over %d records: %q", size, got)
	}
}

func itoa(n int64) string {
	text, err := json.Marshal(n)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
