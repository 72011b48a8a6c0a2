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
	"time"
)

// refusedCrashDir is set in the child process of TestCountsOutliveAKill: the vault's
// directory.
const refusedCrashDir = "STRONGROOM_REFUSED_CRASH_DIR"

// refusedInChild is the number of refused calls in the child.
const refusedInChild = failuresEach + 20

// TestCountsOutliveAKill kills a process a few seconds after more calls were refused than
// get records of their own. Every refusal is recorded.
func TestCountsOutliveAKill(t *testing.T) {
	if dir := os.Getenv(refusedCrashDir); dir != "" {
		refusedVictim(t, dir)
		return
	}
	v, dir := newTestVault(t, testConfig())
	closeChecked(t, v)
	cmd := exec.Command(os.Args[0], "-test.run=^TestCountsOutliveAKill$", "-edition="+testEdition().String())
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

// refusedVictim makes calls that are refused, waits until the count is in the log, and
// waits to be killed.
func refusedVictim(t *testing.T, dir string) {
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
	for v.store.LogState().Size < size+failuresEach+1 {
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Println("written")
	time.Sleep(time.Hour)
}
