package clients

import (
	"os"
	"path/filepath"
	"testing"
)

// TestTable writes a column, keeps the other, and removes the row of an operation that is gone.
func TestTable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.md")
	const old = "before\n" + begin + "| operation | a | b |\n|---|---|---|\n| `One` | yes | `Code` |\n| `Gone` | yes | yes |\n" + end + "after\n"
	if err := os.WriteFile(file, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	var b Ledger
	b.Note("One", "Failed")
	b.Note("One", "")
	b.Note("One", "Late")
	b.Note("Two", "Failed")
	tb := Table{File: file, Head: []string{"operation", "a", "b"}, Operations: []string{"One", "Two", "Three"}, Update: true}
	tb.Compare(t, 1, b.Cell)
	const want = "before\n" + begin + "| operation | a | b |\n|---|---|---|\n| `One` | yes | yes |\n| `Two` | – | `Failed` |\n| `Three` | – | – |\n" + end + "after\n"
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%v, got:\n%s\nwant:\n%s", err, got, want)
	}
	tb.Update = false
	tb.Compare(t, 1, b.Cell) // nothing has changed
}
