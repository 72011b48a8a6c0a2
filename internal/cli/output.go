package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// The output formats.
const (
	formatTable = "table"
	formatJSON  = "json"
)

// A printer writes rows: a table with aligned columns, or one JSON object per line.
type printer struct {
	json  *json.Encoder
	table *tabwriter.Writer
}

// columns returns the printer of the chosen format. names are the headings of the table.
func (a *app) columns(names ...string) *printer {
	if a.format == formatJSON {
		e := json.NewEncoder(a.stdout)
		e.SetEscapeHTML(false)
		return &printer{json: e}
	}
	p := &printer{table: tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)}
	if len(names) > 0 {
		io.WriteString(p.table, strings.Join(names, "\t")+"\n")
	}
	return p
}

// row prints one row: object in JSON, or else the cells.
func (p *printer) row(object any, cells ...any) error {
	if p.json != nil {
		return p.json.Encode(object)
	}
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = cell(c)
	}
	_, err := fmt.Fprintln(p.table, strings.Join(texts, "\t"))
	return err
}

// flush writes what a table holds back to align its columns.
func (p *printer) flush() error {
	if p.json != nil {
		return nil
	}
	return p.table.Flush()
}

// one prints a single object: in JSON, or as a table of names and values.
func (a *app) one(object any, pairs ...any) error {
	p := a.columns()
	if p.json != nil {
		return p.json.Encode(object)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if text := cell(pairs[i+1]); text != "-" {
			fmt.Fprintf(p.table, "%s\t%s\n", pairs[i], text)
		}
	}
	return p.flush()
}

// cell returns a value as the text of a table's cell. Characters that a terminal acts on are
// escaped, because descriptions and tags come from callers.
func cell(value any) string {
	text := ""
	switch v := value.(type) {
	case time.Time:
		if !v.IsZero() {
			text = v.UTC().Format("2006-01-02 15:04:05Z")
		}
	case map[string]string:
		text = pairs(v)
	case bool:
		text = map[bool]string{true: "yes", false: "no"}[v]
	default:
		text = fmt.Sprint(v)
	}
	if text == "" {
		return "-"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// notice writes a line for a person to the standard error.
func (a *app) notice(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stderr, "strongroom: "+format+"\n", args...)
	}
}
