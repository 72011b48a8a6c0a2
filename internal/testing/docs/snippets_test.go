package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestSnippets compiles and vets the Go snippets of all documents, in a module that requires
// this one, so that they use its public packages only.
//
// A snippet is a file, declarations or statements. The statements of a document form one
// function: each snippet sees the variables of those before it, and may declare them again.
// vars.go declares what they take for granted.
func TestSnippets(t *testing.T) {
	modules := map[string][]Document{"": nil}
	for _, d := range documents(t) {
		for module, fences := range snippetsOf(d) {
			modules[module] = append(modules[module], Document{File: d.File, Fences: fences})
		}
	}
	for module, list := range modules {
		t.Run(filepath.Base(filepath.Join("main", module)), func(t *testing.T) {
			dir := t.TempDir()
			makeModule(t, dir, module)
			for _, d := range list {
				writePackages(t, dir, module, d)
			}
			cmd := exec.Command("go", "vet", "./...")
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
			out, err := cmd.CombinedOutput()
			if module != "" && strings.Contains(string(out), "https://") {
				t.Skipf("the module proxy cannot be reached, for the requirements of %s: %s", module, out)
			}
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// snippetsOf returns the Go fences of a document, by the module that they need.
func snippetsOf(d Document) map[string][]Fence {
	by := make(map[string][]Fence)
	for _, f := range d.Fences {
		if f.Language == "go" {
			module, _ := strings.CutPrefix(strings.Join(f.Marks, ""), "module=")
			by[module] = append(by[module], f)
		}
	}
	return by
}

var moduleLine = regexp.MustCompile(`(?m)^module .*$`)

// makeModule makes a module with the requirements of the one in the folder of this
// repository, and that one itself.
func makeModule(t *testing.T, dir, folder string) {
	t.Helper()
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, folder, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(root, folder, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.DeleteFunc(strings.SplitAfter(string(text), "\n"), func(line string) bool {
		return strings.Contains(line, "strongroom.example") && !strings.HasPrefix(line, "module")
	})
	mod := moduleLine.ReplaceAllString(strings.Join(lines, ""), "module docs.example") +
		"\nrequire strongroom.example v0.0.0\nreplace strongroom.example => " + top + "\n"
	write(t, dir, map[string][]byte{"go.mod": []byte(mod), "go.sum": sum})
}

// writePackages writes the packages of a document's snippets below dir, for a module.
func writePackages(t *testing.T, dir, module string, d Document) {
	t.Helper()
	name := regexp.MustCompile(`[^a-z]+`).ReplaceAllString(strings.ToLower(d.File), "")
	vars := setup(t, d)["vars.go"]
	if vars == nil {
		vars = []byte("package doc\n")
	}
	var declarations, statements, tail strings.Builder
	for i, f := range d.Fences {
		at := fmt.Sprintf("//line %s:%d\n", f.File, f.Line+1)
		switch {
		case strings.HasPrefix(f.Text, "package "):
			write(t, filepath.Join(dir, fmt.Sprintf("%s%d", name, i)), map[string][]byte{"main.go": []byte(f.Text)})
		case parses("package p\n" + f.Text):
			declarations.WriteString(at + f.Text)
		default:
			statements.WriteString("{\n" + at + f.Text + "\n")
			tail.WriteString("}\n")
			for _, used := range declared(t, f) {
				statements.WriteString("_ = " + used + "\n")
			}
		}
	}
	body := declarations.String() + "\nfunc _() error {\n" + statements.String() + "return nil\n" + tail.String() + "}\n"
	write(t, filepath.Join(dir, name), map[string][]byte{
		"common.go":   []byte(common),
		"vars.go":     vars,
		"snippets.go": []byte("package doc\n\nimport (\n" + imports(body, module) + ")\n" + body),
	})
}

func parses(text string) bool {
	_, err := parser.ParseFile(token.NewFileSet(), "", text, 0)
	return err == nil
}

// declared returns the variables that statements declare at their outermost level.
func declared(t *testing.T, f Fence) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+f.Text+"\n}", 0)
	if err != nil {
		t.Errorf("%s:%d: %v", f.File, f.Line, err)
		return nil
	}
	for _, s := range file.Decls[0].(*ast.FuncDecl).Body.List {
		switch s := s.(type) {
		case *ast.AssignStmt:
			for _, left := range s.Lhs {
				if id, ok := left.(*ast.Ident); ok && s.Tok == token.DEFINE && id.Name != "_" {
					names = append(names, id.Name)
				}
			}
		case *ast.DeclStmt:
			for _, spec := range s.Decl.(*ast.GenDecl).Specs {
				if v, ok := spec.(*ast.ValueSpec); ok {
					for _, id := range v.Names {
						names = append(names, id.Name)
					}
				}
			}
		}
	}
	return names
}

// common declares what every document takes for granted.
const common = `package doc

import (
	"context"

	"strongroom.example/vault"
)

var (
	ctx context.Context
	v   *vault.Vault
	c   vault.Client
	err error
)
`

// packages are the packages that snippets may use without an import declaration.
var packages = []string{
	"bytes", "context", "crypto", "crypto/ecdsa", "crypto/rand", "crypto/sha256", "crypto/tls", "crypto/x509", "encoding/hex", "encoding/json", "errors", "fmt",
	"io", "log", "log/slog", "net", "net/http", "os", "strings", "testing", "time",
	"strongroom.example/audit", "strongroom.example/bench", "strongroom.example/driver", "strongroom.example/driver/pkcs11",
	"strongroom.example/driver/soft", "strongroom.example/driver/tpm", "strongroom.example/vault", "strongroom.example/vault/awskms", "strongroom.example/vault/policy",
	"strongroom.example/vault/stream", "strongroom.example/vault/tencentkms", "strongroom.example/vault/throttle", "strongroom.example/vault/vaulttest",
}

// clients are packages of nested modules: by module, name and import path.
var clients = map[string]map[string]string{
	"vault/tencentkms/sdktest": {
		"kms":     "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/kms/v20190118",
		"common":  "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common",
		"profile": "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile",
	},
	"vault/awskms/sdktest": {
		"kms":         "github.com/aws/aws-sdk-go-v2/service/kms",
		"credentials": "github.com/aws/aws-sdk-go-v2/credentials",
	},
}

// imports returns the import declarations for the packages that code names, among them those
// of a nested module.
func imports(code, module string) string {
	var b strings.Builder
	uses := func(name string) bool {
		return regexp.MustCompile(`(^|[^.\w"])`+name+`\.[A-Z]`).MatchString(code) &&
			!regexp.MustCompile(`\b`+name+`(, \w+)? :=`).MatchString(code)
	}
	for _, path := range packages {
		if uses(path[strings.LastIndex(path, "/")+1:]) {
			fmt.Fprintf(&b, "\t%q\n", path)
		}
	}
	for name, path := range clients[module] {
		if uses(name) {
			fmt.Fprintf(&b, "\t%s %q\n", name, path)
		}
	}
	return b.String()
}

// write writes files below dir.
func write(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
