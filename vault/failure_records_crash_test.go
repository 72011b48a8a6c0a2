package vault

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"strongroom.example/internal/testing/poll"
	"strongroom.example/vault/internal/failures"
)

// refusedCrashDir is set in the child process of TestCountsSurviveKill: the vault's
// directory.
const refusedCrashDir = "STRONGROOM_REFUSED_CRASH_DIR"

// refusedInChild is the number of refused calls in the child.
const refusedInChild = failures.Each + 20

// TestCountsSurviveKill kills a process a few seconds after more calls were refused than
// get records of their own. Every refusal is recorded.
func TestCountsSurviveKill(t *testing.T) {
	if dir := os.Getenv(refusedCrashDir); dir != "" {
		refusedCrashChild(t, dir)
		return
	}
	v, dir := newTestVault(t, testConfig())
	closeChecked(t, v)
	cmd := exec.Command(os.Args[0], "-test.run=^TestCountsSurviveKill$", "-edition="+testEdition().String())
	cmd.Env = append(os.Environ(), refusedCrashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	killed := cmd.Process.Kill()
	_ = cmd.Wait() // an error, because the process was killed
	if err := errors.Join(err, killed); err != nil || strings.TrimSpace(line) != "written" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	if v, err = Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse")); err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	if n := failedAt(t, v.As(DefaultOwner))["mallory"]; n != refusedInChild {
		t.Errorf("%d refusals on record after the kill, want %d", n, refusedInChild)
	}
}

// refusedCrashChild makes calls that are refused, waits until the count is in the log, and
// waits to be killed.
func refusedCrashChild(t *testing.T, dir string) {
	v, err := Open(context.Background(), dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	size := v.store.LogState().Size
	for range refusedInChild {
		if _, err := v.As("mallory").GenerateRandom(context.Background(), 1); !errors.Is(err, ErrDenied) {
			t.Fatal(err)
		}
	}
	poll.Until(t, "the failures are recorded", func() bool { return v.store.LogState().Size >= size+failures.Each+1 })
	fmt.Println("written")
	select {} // until the process is killed
}
