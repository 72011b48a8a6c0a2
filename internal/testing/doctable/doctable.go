// Package doctable keeps tables of documents equal to the code that they describe.
package doctable

import (
	"os"
	"strings"
	"testing"
)

// Compare compares the text between two marks of a file with that which table returns for it. If
// update is set, it writes the file instead of failing the test. The marks are whole lines.
func Compare(t testing.TB, file, begin, end string, update bool, table func(present string) string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	present, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for a table between\n%s%s", file, begin, end)
	}
	want := table(present)
	switch {
	case want == present:
	case !update:
		t.Errorf("%s has the table\n%swant\n%sRun the test with -update to write it.", file, present, want)
	default:
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
