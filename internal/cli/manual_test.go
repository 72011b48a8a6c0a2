package cli

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/session"
)

const manual = "../../docs/cli.md"

// update is a flag of go test; see CONTRIBUTING.md.
var update = flag.Bool("update", false, "write docs/cli.md")

// TestManual compares docs/cli.md with the commands.
func TestManual(t *testing.T) {
	if *update {
		if err := os.WriteFile(manual, Manual(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, Manual()) {
		t.Error("docs/cli.md differs from the commands: go test ./internal/cli -run Manual -update")
	}
}

// TestManualNamesEverySetting compares the table of the configuration file with its type.
func TestManualNamesEverySetting(t *testing.T) {
	fields := reflect.TypeFor[session.Settings]()
	for i := range fields.NumField() {
		name, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		if !strings.Contains(settingsTable, "`"+name+"`") {
			t.Errorf("the manual does not name %q", name)
		}
	}
	if n := strings.Count(settingsTable, "`") / 2; n != fields.NumField() {
		t.Errorf("the manual names %d fields, and there are %d", n, fields.NumField())
	}
}

// TestCommandsAreDocumented checks that each command has a short text, and each one that
// can be run an example and a limit of its arguments.
func TestCommandsAreDocumented(t *testing.T) {
	visit(Root(), func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short text %q", c.CommandPath(), c.Short)
		}
		if c.Runnable() && !strings.Contains(c.Example, "strongroom") {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for line := range strings.Lines(c.Long + "\n" + c.Example) {
			if len(line) > 125 {
				t.Errorf("%s: a line of %d bytes: %s", c.CommandPath(), len(line), line)
			}
		}
	})
}

func visit(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, below := range c.Commands() {
		visit(below, f)
	}
}

// TestManPages formats the pages, if the machine has a formatter.
func TestManPages(t *testing.T) {
	dir := t.TempDir()
	if err := writePages(Root(), dir); err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) < 30 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, path := range pages {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			macro, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			if strings.HasPrefix(line, ".") && !strings.Contains(" .TH .SH .B .BR .TP .nf .fi ", " "+macro+" ") || strings.HasPrefix(line, "'") {
				t.Errorf("%s: %q is a macro", filepath.Base(path), line)
			}
		}
		if groff, err := exec.LookPath("groff"); err == nil {
			out, err := exec.Command(groff, "-man", "-Tutf8", "-ww", path).CombinedOutput()
			if err != nil || bytes.Contains(out, []byte("warning:")) {
				t.Errorf("%s: %v\n%s", path, err, out)
			}
		}
	}
}
