package audit_test

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"strongroom.example/internal/testing/auditor"
)

// The verifier key of testdata/export.jsonl, as a verifier would pin it.
const goldenKeyFile = "testdata/export.vkey"

// TestIndependent verifies the golden export with a public key, without this package.
func TestIndependent(t *testing.T) {
	vkey, err := os.ReadFile(goldenKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	export, err := os.ReadFile("testdata/export.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	r, err := auditor.Verify(bytes.NewReader(export), string(vkey))
	if err != nil || r.Records != 12 || r.Checkpoints != 2 || r.Origin != "strongroom.example/0123456789abcdef0123456789abcdef" {
		t.Errorf("%+v, %v", r, err)
	}
	lines := slices.Collect(bytes.Lines(export))
	for n := range lines {
		if _, err := auditor.Verify(bytes.NewReader(bytes.Join(lines[:n], nil)), string(vkey)); err == nil {
			t.Errorf("the first %d lines verify, want an error", n)
		}
		without := slices.Delete(slices.Clone(lines), n, n+1)
		if _, err := auditor.Verify(bytes.NewReader(bytes.Join(without, nil)), string(vkey)); err == nil {
			t.Errorf("the export verifies without line %d, want an error", n)
		}
	}
}
