package examples

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestRunScript runs run.sh from another directory over a file with a space in its name.
func TestRunScript(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("bash is missing: install the package bash")
		}
		t.Skip("needs bash")
	}
	script, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	script += "/../run.sh"
	t.Chdir(t.TempDir())
	if err := os.WriteFile("a letter", []byte("pay 4711 to the bearer"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), script, "a letter").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, line := range []string{"a letter came back as it was", "verified against the pinned log key", "found: ", "read next: docs/guide.md"} {
		if !strings.Contains(string(out), line) {
			t.Errorf("the output has no %q:\n%s", line, out)
		}
	}
}
