//go:build cgo && unix

package guide

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"strongroom.example/internal/testing/doctable"
	"strongroom.example/vault"
)

var update = flag.Bool("update", false, "write the tables into docs/guide.md instead of comparing them")

const document = "../../../docs/guide.md"

// flowTable returns the Markdown table of the cells, which are by columns.
func flowTable(cells [][]string) string {
	var b strings.Builder
	b.WriteString("| flow |")
	for _, c := range columns {
		b.WriteString(" " + c.name + " |")
	}
	b.WriteString("\n|" + strings.Repeat("---|", len(columns)+1) + "\n")
	for row, f := range flows() {
		b.WriteString("| " + f.name + " |")
		for _, column := range cells {
			b.WriteString(" " + column[row] + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// numberTable returns the limits, from the constants of package vault.
func numberTable() string {
	var b strings.Builder
	b.WriteString("| number | value |\n|---|---|\n")
	for _, row := range []struct {
		name  string
		value any
	}{
		{"plaintext of Encrypt", fmt.Sprint(vault.MaxPlaintext, " bytes at most")},
		{"message that is signed RAW; a longer one is signed by its digest", fmt.Sprint(vault.MaxMessage, " bytes at most")},
		{"a ciphertext is longer than its plaintext by", fmt.Sprint(vault.Overhead, " bytes")},
		{"ciphertext for an SM2 key", fmt.Sprint(vault.MaxSM2Ciphertext, " bytes at most")},
		{"random bytes of one call", fmt.Sprint(vault.MaxRandom, " at most")},
		{"data key", fmt.Sprint(vault.DataKey128, " or ", vault.DataKey256, " bytes, or another size up to ", maxDataKey)},
		{"import token", "valid for 24 hours"},
		{"waiting time of a deletion", fmt.Sprint(vault.MinDeletionDays, " to ", vault.MaxDeletionDays, " days")},
		{"interval of automatic rotation", fmt.Sprint(vault.MinRotationDays, " to ", vault.MaxRotationDays, " days")},
		{"set of policies", fmt.Sprint(vault.MaxPolicy>>10, " KiB at most")},
	} {
		fmt.Fprintf(&b, "| %s | %v |\n", row.name, row.value)
	}
	return b.String()
}

// maxDataKey is the largest data key, which envelope checks.
const maxDataKey = 1024

// compare compares a table with the document, or writes it. It stands between two comments.
func compare(t *testing.T, name, table string) {
	t.Helper()
	t.Log("\n" + table)
	begin, end := "<!-- "+name+": written by go test ./internal/testing/guide -update -->\n", "<!-- end of "+name+" -->\n"
	doctable.Compare(t, document, begin, end, *update, func(string) string { return table })
}
