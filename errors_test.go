package strongroom_test

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestErrorsAreDocumented checks that the table of docs/operations.md has exactly the errors
// of package vault, with a cause and a remedy each.
func TestErrorsAreDocumented(t *testing.T) {
	document, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	api, err := os.ReadFile("testdata/api.txt")
	if err != nil {
		t.Fatal(err)
	}
	names := func(pattern string, text []byte) (list []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
			list = append(list, string(m[1]))
		}
		slices.Sort(list)
		return list
	}
	_, table, _ := bytes.Cut(document, []byte("\n## Errors\n"))
	rows := names("(?m)^\\| `(Err\\w+)` \\| [^|]{10,} \\| [^|]{4,} \\|$", table)
	exported := names(`(?m)^vault: var (Err\w+)`, api)
	if len(exported) < 30 || !slices.Equal(rows, exported) {
		t.Errorf("docs/operations.md has the rows\n%q,\npackage vault the errors\n%q:\neach needs one row: error, cause, what to do", rows, exported)
	}
}
