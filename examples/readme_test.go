package examples

import (
	"flag"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of README.md instead of comparing it")

// The table stands between its head and the next empty line.
const tableHead = "| example | shows |\n|---|---|\n"

// maxLines is how long an example may be, so that it is read in a few minutes.
const maxLines = 120

// TestREADME compares the table of README.md with the first sentences of the examples'
// package comments. With -update it writes the table. Each example has a test, and but for
// the quickstart, which is a demonstration, one short file.
func TestREADME(t *testing.T) {
	files, err := filepath.Glob("*/main.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("the examples: %v, %v", files, err)
	}
	slices.Sort(files)
	var table strings.Builder
	for _, file := range files {
		name := filepath.Dir(file)
		table.WriteString("| [" + name + "](" + name + "/main.go) | " + summary(t, file) + " |\n")
		if _, err := os.Stat(filepath.Join(name, "main_test.go")); err != nil {
			t.Errorf("%s has no test: %v", name, err)
		}
		if name != "quickstart" {
			short(t, name)
		}
	}
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), tableHead)
	got, after, ended := strings.Cut(rest, "\n\n")
	if !found || !ended {
		t.Fatalf("README.md has no table that begins with\n%s and ends with an empty line", tableHead)
	}
	if want := strings.TrimSuffix(table.String(), "\n"); got != want && !*update {
		t.Errorf("README.md has the table\n%s\nwant, as -update writes it,\n%s", got, want)
	} else if got != want {
		if err := os.WriteFile("README.md", []byte(before+tableHead+want+"\n\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// summary returns the first sentence of a package comment without the name.
func summary(t *testing.T, file string) string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Dir(file)
	text, ok := strings.CutPrefix(new(doc.Package).Synopsis(parsed.Doc.Text()), strings.ToUpper(name[:1])+name[1:]+" ")
	if !ok || !strings.HasSuffix(text, ".") {
		t.Errorf("the package comment of %s has to begin with a sentence about %q: %q", file, name, text)
	}
	return text
}

// short checks the length of an example.
func short(t *testing.T, name string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(name, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); n > maxLines {
			t.Errorf("%s has %d lines, want at most %d", file, n, maxLines)
		}
		if base := filepath.Base(file); base != "main.go" && base != "main_test.go" {
			t.Errorf("%s: an example is one main.go with one main_test.go", file)
		}
	}
}
