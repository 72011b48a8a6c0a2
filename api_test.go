package strongroom_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/api.txt instead of comparing with it")

// apiFile holds every exported name of the public packages with its signature, and every
// constant with its value: operation names, specs and algorithms stand in stored records.
const apiFile = "testdata/api.txt"

// TestPublicAPI compares the public API with the one on file. An intended change is
// written by `go test . -run PublicAPI -update`, and named in CHANGELOG.md.
func TestPublicAPI(t *testing.T) {
	got := publicAPI(t)
	if *update {
		if err := os.WriteFile(apiFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(apiFile)
	if err != nil {
		t.Fatal(err)
	}
	was, is := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	for _, line := range was {
		if !slices.Contains(is, line) {
			t.Errorf("gone from the public API: %s", line)
		}
	}
	for _, line := range is {
		if !slices.Contains(was, line) {
			t.Errorf("new in the public API: %s", line)
		}
	}
}

// publicAPI describes each public package, one declaration a line.
func publicAPI(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, line := range goList(t, "-f", "{{.ImportPath}} {{.Name}} {{.Dir}} {{join .GoFiles \" \"}} {{join .CgoFiles \" \"}}", "./...") {
		fields := strings.Fields(line)
		path := strings.TrimPrefix(fields[0], module)
		if strings.Contains("/"+path+"/", "/internal/") || fields[1] == "main" {
			continue
		}
		var names []string
		for _, file := range fields[3:] {
			names = append(names, declarations(t, filepath.Join(fields[2], file))...)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(&out, "%s: %s\n", path, name)
		}
	}
	return out.Bytes()
}

// declarations returns the exported declarations of a file, each on one line.
func declarations(t *testing.T, file string) (all []string) {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.FileExports(f)
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			d.Body, d.Doc = nil, nil
			if d.Recv == nil || ast.IsExported(receiver(d)) {
				all = append(all, oneLine(t, set, d))
			}
		case *ast.GenDecl:
			all = append(all, specs(t, set, d)...)
		}
	}
	return all
}

// receiver returns the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// specs splits a group of constants, variables or types.
func specs(t *testing.T, set *token.FileSet, d *ast.GenDecl) (all []string) {
	t.Helper()
	for _, s := range d.Specs {
		if v, ok := s.(*ast.ValueSpec); ok && d.Tok == token.VAR {
			v.Values = nil
		}
		if _, ok := s.(*ast.ImportSpec); !ok {
			all = append(all, oneLine(t, set, &ast.GenDecl{Tok: d.Tok, Specs: []ast.Spec{s}}))
		}
	}
	return all
}

// oneLine prints a declaration without its comments.
func oneLine(t *testing.T, set *token.FileSet, n ast.Node) string {
	t.Helper()
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			n.Doc, n.Comment = nil, nil
		case *ast.ValueSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.TypeSpec:
			n.Doc, n.Comment = nil, nil
		}
		return true
	})
	var b bytes.Buffer
	if err := printer.Fprint(&b, set, n); err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
