package docs

import (
	"cmp"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"

	"strongroom.example/internal/cli"
	"strongroom.example/internal/testing/testtoken"
)

// root is the root of the repository.
const root = "../../.."

// tests runs tests with the configuration of SoftHSM.
type tests struct{ *testing.M }

// Run runs the tests.
func (m tests) Run() int { return testtoken.Main(m.M) }

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"strongroom": func() { os.Exit(cli.Main(os.Args[1:])) }})
}

// documents returns the Markdown files of the repository.
func documents(t *testing.T) (list []Document) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() && (e.Name() == "testdata" || e.Name() == ".git") {
			return cmp.Or(err, filepath.SkipDir)
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		list = append(list, Parse(name, string(text)))
		return err
	})
	if err != nil || len(list) < 10 {
		t.Fatalf("%d Markdown files: %v", len(list), err)
	}
	return list
}

// setupOf returns the path of a document's setup.
func setupOf(d Document) string {
	return filepath.Join("testdata", strings.ReplaceAll(d.File, "/", "-")+".txtar")
}

// setup returns what testdata has for a document: files that its reader has, setup.sh with
// what the reader did before, and vars.go with what its Go snippets take for granted.
func setup(t *testing.T, d Document) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	text, err := os.ReadFile(setupOf(d))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, f := range txtar.Parse(text).Files {
		files[f.Name] = f.Data
	}
	return files
}

// marks are the marks of each language. Blocks of a language that is not named here are
// neither commands nor snippets.
var marks = map[string]string{
	"sh": "hardware elsewhere long drill client=", "go": "module=", "json": "", "text": "", "cedar": "", "ini": "", "yaml": "",
}

// command matches a line that a reader would type.
var command = regexp.MustCompile(`^(\$ |\./|strongroom |go |openssl |git |cp |rm |make |sudo |docker |apt|curl )`)

// TestFences checks that every fence is closed, names its language, and has only marks that
// these tests know, and that no command stands outside of a fence.
func TestFences(t *testing.T) {
	for _, d := range documents(t) {
		if d.Open > 0 {
			t.Errorf("%s:%d: the fence is not closed", d.File, d.Open)
		}
		for _, line := range slices.Sorted(maps.Keys(d.Indented)) {
			if text := d.Indented[line]; command.MatchString(text) {
				t.Errorf("%s:%d: a command outside of a fence is not run by any test: %s", d.File, line, text)
			}
		}
		for _, f := range d.Fences {
			known, ok := marks[f.Language]
			if !ok {
				t.Errorf("%s:%d: the language %q is none of those that these tests know; commands are sh", f.File, f.Line, f.Language)
			}
			for i, m := range f.Marks {
				name, _, isPair := strings.Cut(m, "=")
				if isPair {
					name += "="
				}
				if !slices.Contains(strings.Fields(known), name) && (i == 0 || f.Marks[i-1] != "drill") {
					t.Errorf("%s:%d: unknown mark %q", f.File, f.Line, m)
				}
			}
			if f.Language == "json" && !json.Valid([]byte(f.Text)) {
				t.Errorf("%s:%d: this is not JSON", f.File, f.Line)
			}
		}
	}
}

// TestSyntax checks the syntax of every sh fence, also of those that no test runs.
func TestSyntax(t *testing.T) {
	checked := 0
	for _, d := range documents(t) {
		for _, f := range d.Fences {
			if f.Language != "sh" {
				continue
			}
			checked++
			cmd := exec.Command("bash", "-n")
			cmd.Stdin = strings.NewReader(f.Text)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %v\n%s", f.File, f.Line, err, out)
			}
		}
	}
	if checked < 20 {
		t.Errorf("%d fences with commands were found", checked)
	}
}

// TestSetups checks that each file of testdata is of a document.
func TestSetups(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files in testdata: %v", len(files), err)
	}
	for _, d := range documents(t) {
		files = slices.DeleteFunc(files, func(f string) bool { return f == setupOf(d) })
	}
	for _, f := range files {
		t.Errorf("%s is the setup of no document", f)
	}
}
