//go:build cgo && unix

package pkcs11_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/testtoken"
)

var update = flag.Bool("update", false, "write the rows of the tokens into docs/pkcs11.md instead of comparing with them")

// The table of measured modules has one row for each module and token, as Probe found it
// on one system. Its first three cells name the row.
const (
	measuredFile = "../../docs/pkcs11.md"
	measuredHead = "| System | Module | Token | Level | Keys | Wrapped import | Findings |\n|---|---|---|---|---|---|---|\n"
	measuredName = 3
)

// TestMeasuredModules compares the row of each token with docs/pkcs11.md. With -update it
// writes the row. A token that the environment names needs no row. The suite's own tokens
// need one on each system that the table names, because a module of another release may
// give the same version.
func TestMeasuredModules(t *testing.T) {
	if _, ok := testtoken.FromEnvironment(t); !ok {
		t.Run("libtpm2-pkcs11", func(t *testing.T) { measure(t, initToken(t, testtoken.NewTPM2PKCS11(t)), true) })
	}
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		_, own := testtoken.FromEnvironment(t)
		measure(t, token, !own)
	})
}

// measuring guards the document.
var measuring sync.Mutex

// measure compares one token's row, or writes it.
func measure(t *testing.T, token testtoken.PKCS11, required bool) {
	t.Helper()
	report, err := pkcs11.Probe(t.Context(), config(token))
	if err != nil && !(errors.Is(err, driver.Unsupported) && len(report.Findings) > 0) {
		t.Fatalf("Probe: %v", err)
	}
	row := measuredRow(system(t), token.Module, report)
	t.Logf("the row of this token:\n%s", row)
	measuring.Lock()
	defer measuring.Unlock()
	before, rows, after := measuredTable(t)
	at, found := slices.BinarySearchFunc(rows, row, func(a, b string) int { return strings.Compare(rowName(a), rowName(b)) })
	if *update {
		if found {
			rows[at] = row
		} else {
			rows = slices.Insert(rows, at, row)
		}
		text := before + measuredHead + strings.Join(rows, "\n") + "\n" + after
		if err := os.WriteFile(measuredFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	known := slices.ContainsFunc(rows, func(r string) bool { return strings.HasPrefix(r, "| "+system(t)+" |") })
	switch {
	case found && rows[at] != row:
		t.Errorf("%s has the row\n%s\nwant, as was measured,\n%s\nwhich -update writes", measuredFile, rows[at], row)
	case !found && required && known:
		t.Errorf("%s has no row of %s; -update writes it", measuredFile, rowName(row))
	case !found:
		t.Skipf("%s has no row of %s", measuredFile, rowName(row))
	}
}

// measuredTable splits the document at the table's rows, which are sorted by name.
func measuredTable(t *testing.T) (before string, rows []string, after string) {
	t.Helper()
	text, err := os.ReadFile(measuredFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), measuredHead)
	if !ok {
		t.Fatalf("%s has no table that begins with\n%s", measuredFile, measuredHead)
	}
	for strings.HasPrefix(rest, "|") {
		row, below, _ := strings.Cut(rest, "\n")
		rows, rest = append(rows, row), below
	}
	if !slices.IsSortedFunc(rows, func(a, b string) int { return strings.Compare(rowName(a), rowName(b)) }) {
		t.Fatalf("the rows of %s are not sorted by their first %d cells", measuredFile, measuredName)
	}
	return before, rows, rest
}

// rowName is the part of a row that names it.
func rowName(row string) string {
	cells := strings.SplitN(row, " | ", measuredName+1)
	return strings.Join(cells[:min(measuredName, len(cells))], " | ")
}

// system names the system by os-release, as "Debian GNU/Linux 12".
func system(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		t.Skipf("the system is not known: %v", err)
	}
	fields := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		fields[name] = strings.Trim(value, `"'`)
	}
	return strings.TrimSpace(fields["NAME"] + " " + fields["VERSION_ID"])
}

// measuredRow is the Markdown row of a report. The module's file is part of its name,
// because p11-kit's client passes on the C_GetInfo of p11-kit's proxy.
func measuredRow(system, file string, r pkcs11.Report) string {
	m := r.Module
	cells := []string{
		system,
		strings.Join([]string{filepath.Base(file), m.Manufacturer, m.Description, m.Version, "Cryptoki " + m.Cryptoki}, ", "),
		r.Device.Manufacturer + ", " + strings.Join(strings.Fields(r.Device.Model), " "),
		string(r.Level), keysCell(r.Specs), wrapsCell(r.Specs), findingsCell(r.Findings),
	}
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

// keysCell lists the algorithms of each usage. Keys that are not imported in the clear are
// marked; a key that unwraps is always generated.
func keysCell(specs []driver.SpecInfo) string {
	var list grouped
	for _, row := range specs {
		name := string(row.Spec.Algorithm)
		if !row.Import && row.Spec.Usage != driver.Unwrap {
			name += " (generated only)"
		}
		list.add(string(row.Spec.Usage), name)
	}
	return list.join(func(heading, items string) string { return heading + ": " + items })
}

// wrapsCell lists, for each import method, the wrapped keys that it imports.
func wrapsCell(specs []driver.SpecInfo) string {
	var list grouped
	for _, row := range specs {
		for _, alg := range row.WrappedImport {
			list.add(string(alg), row.Spec.String())
		}
	}
	return list.join(func(heading, items string) string { return heading + ": " + items })
}

// findingsCell lists the abilities that do not work, by the token's error, and those that
// the driver provides in another way. Wrapped imports that failed are listed by usage.
func findingsCell(findings []pkcs11.Finding) string {
	const byRaw, from = " over raw RSA", " from "
	var list grouped
	for _, f := range findings {
		name, way, wrapped := strings.Cut(f.Ability, from)
		switch _, usage, spec := strings.Cut(name, "/"); {
		case f.Works && strings.HasSuffix(f.Ability, byRaw):
			list.add("done by the driver over raw RSA", strings.TrimSuffix(f.Ability, byRaw))
		case f.Works:
		case wrapped && spec:
			list.add(f.Note, usage+from+way)
		default:
			list.add(f.Note, f.Ability)
		}
	}
	return list.join(func(heading, items string) string { return items + ": " + heading })
}

// grouped has lists under headings, both in the order in which they were added.
type grouped struct {
	headings []string
	under    map[string][]string
}

// add puts an item under a heading, once.
func (g *grouped) add(heading, item string) {
	if g.under == nil {
		g.under = make(map[string][]string)
	}
	if _, ok := g.under[heading]; !ok {
		g.headings = append(g.headings, heading)
	}
	if !slices.Contains(g.under[heading], item) {
		g.under[heading] = append(g.under[heading], item)
	}
}

// join writes one line for each list, or "none".
func (g *grouped) join(line func(heading, items string) string) string {
	var parts []string
	for _, h := range g.headings {
		parts = append(parts, line(h, strings.Join(g.under[h], ", ")))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, "<br>")
}
