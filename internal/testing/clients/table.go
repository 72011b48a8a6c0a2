package clients

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"strongroom.example/internal/testing/doctable"
)

// None is the result of an operation that was not called.
const None = "–"

// The marks around a table in a document.
const (
	begin = "<!-- clients -->\n"
	end   = "<!-- end of clients -->\n"
)

// A Table is the table of operations and clients in a document.
type Table struct {
	// File is the document.
	File string
	// Head has the name of each column, of which the first is that of the operations.
	Head []string
	// Operations are the rows.
	Operations []string
	// Update makes Compare write the document.
	Update bool
}

// Compare compares the results of a client with its column, which is counted from 0 after that of
// the operations. If Update is set, it writes the column instead.
func (tb Table) Compare(t *testing.T, column int, result func(op string) string) {
	t.Helper()
	doctable.Compare(t, tb.File, begin, end, tb.Update, func(table string) string { return tb.with(table, column, result) })
}

// with returns a table in which one column is replaced.
func (tb Table) with(table string, column int, result func(op string) string) string {
	columns := len(tb.Head) - 1
	rows := make(map[string][]string)
	for line := range strings.Lines(table) {
		if cells := strings.Split(strings.Trim(line, "| \n"), " | "); len(cells) == columns+1 {
			rows[strings.Trim(cells[0], "`")] = cells[1:]
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "| %s |\n%s|\n", strings.Join(tb.Head, " | "), strings.Repeat("|---", columns+1))
	for _, op := range tb.Operations {
		cells := rows[op]
		if cells == nil {
			cells = slices.Repeat([]string{None}, columns)
		}
		cells[column] = result(op)
		fmt.Fprintf(&out, "| `%s` | %s |\n", op, strings.Join(cells, " | "))
	}
	return out.String()
}
