// Command typecheck type-checks the packages of the module in the working directory for other
// systems, with their tests, and without cgo:
//
//	typecheck windows/amd64 linux/386
//
// It finds the errors of types that a compiler reports, and is faster, because it generates no code
// and leaves out the bodies of functions in dependencies. It exits with 1 after an error.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	root, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, "typecheck:", err)
		os.Exit(1)
	}
	failed := false
	for _, target := range os.Args[1:] {
		n, err := check(root, target)
		if err != nil {
			fmt.Fprintf(os.Stderr, "typecheck: %s: %v\n", target, err)
		}
		failed = failed || err != nil
		fmt.Printf("%s: %d packages\n", target, n)
	}
	if failed {
		os.Exit(1)
	}
}

// check type-checks all packages below root for a target, prints their errors, and returns the
// number of packages. The errors of dependencies are left out, because parseFile causes some.
func check(root, target string) (int, error) {
	system, architecture, ok := strings.Cut(target, "/")
	if !ok {
		return 0, fmt.Errorf("want a target such as windows/amd64")
	}
	all, err := packages.Load(&packages.Config{
		// NeedDeps makes Load read dependencies from source; without it, go list compiles them.
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
			packages.NeedDeps | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesSizes | packages.NeedModule,
		Dir:       root,
		Env:       append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture),
		Tests:     true,
		ParseFile: parseFile(root),
	}, "./...")
	if err != nil {
		return 0, err
	}
	found := 0
	for _, p := range all {
		if strings.HasSuffix(p.PkgPath, ".test") {
			continue // a main function that the go command makes
		}
		for _, e := range p.Errors {
			fmt.Fprintln(os.Stderr, e)
			found++
		}
	}
	if found > 0 {
		return len(all), fmt.Errorf("%d errors", found)
	}
	return len(all), nil
}

// parseFile returns a parser that removes the bodies of functions in files outside root.
func parseFile(root string) func(*token.FileSet, string, []byte) (*ast.File, error) {
	return func(set *token.FileSet, name string, source []byte) (*ast.File, error) {
		f, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution)
		if f == nil || strings.HasPrefix(name, root+string(filepath.Separator)) {
			return f, err
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				fn.Body = nil
			}
		}
		return f, err
	}
}
