package vault

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/internal/testing/failcalls"
)

// failingDir is set in the child: the directory with the vault.
const failingDir = "STRONGROOM_FAILING_DIR"

// sessionUnderFaults is the order of the acts. The redo log turns among them.
var sessionUnderFaults = []string{
	"encrypt", "tag", "create", "protectors", "tag", "disable", "rotate", "delete", "tag", "encrypt", "root", "tag", "backup", "tag",
	"encrypt", "tag", "cut", "save", "tag",
}

// TestFailingCalls makes one system call of a vault at work fail, at each place in turn, and
// then closes or kills it: the vault opens, holds all that was acknowledged, and the process
// neither dies nor hangs.
func TestFailingCalls(t *testing.T) {
	if base := os.Getenv(failingDir); base != "" {
		workUnderFaults(t, base)
		return
	}
	t.Parallel()
	failcalls.NeedStrace(t)
	template := nearlyFullLog(t)
	failcalls.Each(t, 9, func(t *testing.T, f failcalls.Fault) bool { return underFault(t, template, f) })
}

// workUnderFaults is the child.
func workUnderFaults(t *testing.T, base string) {
	out, err := os.OpenFile(filepath.Join(base, "lines"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil { // the fault was for this call
		out, err = os.OpenFile(filepath.Join(base, "lines"), os.O_WRONLY|os.O_APPEND, 0)
		must(t, err)
	}
	cfg, dir := testConfig(), filepath.Join(base, "v")
	cfg.Backup = scheduleBeside(t, dir)
	v, err := Open(t.Context(), dir, cfg, passphrase(t, "correct horse"))
	if err != nil {
		fmt.Println("open:", err)
		return
	}
	s := newSession(t, v, dir, func(line string) { fmt.Fprintln(out, line) })
	for _, name := range sessionUnderFaults {
		if err := sessionActs[name](s); err != nil {
			fmt.Println(name+":", err)
			if ended(err) {
				break
			}
		}
	}
	failcalls.Finish()
	fmt.Println("close:", v.Close())
}

// underFault runs the child under one fault and checks what it leaves. It reports whether
// there was such a call.
func underFault(t *testing.T, template string, f failcalls.Fault) bool {
	t.Helper()
	base := t.TempDir()
	defer os.RemoveAll(base)
	dir := filepath.Join(base, "v")
	copyVault(t, dir, template)
	must(t, os.WriteFile(filepath.Join(base, "lines"), nil, 0o600))
	args := []string{"-test.run=^TestFailingCalls$", "-test.v=false", "-edition=" + testEdition().String()}
	output, injected, err := f.Run(failcalls.Paths(dir), args, []string{failingDir + "=" + base})
	if err != nil {
		t.Errorf("%v: the process: %v\n%.3000s", f, err, output)
		return injected
	}
	content, err := os.ReadFile(filepath.Join(base, "lines"))
	must(t, err)
	v, err := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		t.Errorf("%v: Open: %v\n%.2000s", f, err, output)
		return injected
	}
	checkAcknowledged(t, v, f.String(), strings.Split(strings.TrimSpace(string(content)), "\n"))
	if f.Code != "EIO" {
		checkNothingHealed(t, v, f)
	}
	if err := v.Close(); err != nil {
		t.Errorf("%v: Close: %v", f, err)
	}
	return injected
}

// checkNothingHealed checks that no shortage was taken for a damaged file.
func checkNothingHealed(t *testing.T, v *Vault, f failcalls.Fault) {
	t.Helper()
	for r, err := range v.As(DefaultOwner).AuditRecords(t.Context(), audit.Filter{}) {
		must(t, err)
		if r.Operation == string(OpHealRootFile) {
			t.Errorf("%v: a file was healed: %v", f, r.Detail)
		}
	}
}
