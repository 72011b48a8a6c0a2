package selftest_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.example/vault"
)

// defects are edits of internal/suite/aead.go that break the cipher, as an error in a
// library or a wrong assumption about one would.
var defects = []struct {
	name string
	edit []string // pairs of old and new text
}{
	{"no key", []string{"aes.NewCipher(key)", "aes.NewCipher(make([]byte, len(key)))",
		"sm4.NewCipher(key)", "sm4.NewCipher(make([]byte, len(key)))"}},
	// The effect of wiping a block on s390x, whose GCM shares the key with the block.
	{"state wiped before its use", []string{"a := &AEAD{block: block}", "a := &AEAD{block: block}\n\tdefer WipeState(block)",
		"a.gcm, err = cipher.NewGCMWithRandomNonce(a.block)", "a.gcm, err = cipher.NewGCMWithRandomNonce(a.block)\n\tWipeState(a.gcm)"}},
}

// TestBrokenBuilds builds a program with each defect. In every edition it must fail to
// create a vault and to open one, and must not change the vault that it cannot open.
func TestBrokenBuilds(t *testing.T) {
	if testing.Short() {
		t.Skip("it links programs")
	}
	dirs := map[vault.Edition]string{}
	for _, e := range []vault.Edition{vault.Standard, vault.FIPS, vault.SM} {
		dirs[e] = filepath.Join(t.TempDir(), "vault")
	}
	sound := build(t, nil)
	for e, dir := range dirs {
		if got := start(t, sound, "create", dir, e); got != "create succeeds: <nil>\n" {
			t.Fatalf("%v edition, sound build: %s", e, got)
		}
	}
	for _, d := range defects {
		broken := build(t, d.edit)
		for e, dir := range dirs {
			fresh := filepath.Join(t.TempDir(), "vault")
			if got := start(t, broken, "create", fresh, e); got != "refused" {
				t.Errorf("%s, %v edition: create prints %q, want refused", d.name, e, got)
			}
			if _, err := os.Stat(fresh); !os.IsNotExist(err) {
				t.Errorf("%s, %v edition: the refused Create left its directory: %v", d.name, e, err)
			}
			if got := start(t, broken, "open", dir, e); got != "refused" {
				t.Errorf("%s, %v edition: open prints %q, want refused", d.name, e, got)
			}
		}
	}
	for e, dir := range dirs {
		if got := start(t, sound, "open", dir, e); got != "open succeeds: <nil>\n" {
			t.Errorf("%v edition, sound build, after the broken ones: %s", e, got)
		}
	}
}

// build builds the program with an edited aead.go, and returns its path.
func build(t *testing.T, edit []string) string {
	t.Helper()
	const source = "../suite/aead.go"
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	edited := string(text)
	for ; len(edit) > 0; edit = edit[2:] {
		if strings.Count(edited, edit[0]) != 1 {
			t.Fatalf("aead.go has %d times %q, want 1", strings.Count(edited, edit[0]), edit[0])
		}
		edited = strings.Replace(edited, edit[0], edit[1], 1)
	}
	dir := t.TempDir()
	replacement, program, overlay := filepath.Join(dir, "aead.go"), filepath.Join(dir, "program"), filepath.Join(dir, "overlay.json")
	original, err := filepath.Abs(source)
	if err != nil {
		t.Fatal(err)
	}
	mapping, err := json.Marshal(map[string]any{"Replace": map[string]string{original: replacement}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{replacement: []byte(edited), overlay: mapping} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-overlay", overlay, "-o", program, "./testdata/broken")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// start runs the program and returns its output.
func start(t *testing.T, program, call, dir string, e vault.Edition) string {
	t.Helper()
	cmd := exec.Command(program, call, dir, e.String())
	cmd.Env = os.Environ()
	if e == vault.FIPS {
		cmd.Env = append(cmd.Env, "GODEBUG=fips140=on")
	} else {
		cmd.Env = append(cmd.Env, "GODEBUG=")
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, call, err, out)
	}
	return string(out)
}
