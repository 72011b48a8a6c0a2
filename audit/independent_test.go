package audit_test

import (
	"os"
	"testing"

	"strongroom.example/internal/auditor"
)

// The key of testdata/export.jsonl, pinned as a reader of it would.
const goldenKeyFile = "testdata/export.vkey"

// TestIndependent verifies the frozen export by a public key, without this package.
func TestIndependent(t *testing.T) {
	vkey, err := os.ReadFile(goldenKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open("testdata/export.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := auditor.Verify(file, string(vkey))
	if err != nil || r.Records != 12 || r.Checkpoints != 2 || r.Origin != "strongroom.example/0123456789abcdef0123456789abcdef" {
		t.Errorf("%+v, %v", r, err)
	}
}
