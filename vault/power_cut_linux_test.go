package vault

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/internal/testing/smalldisk"
)

const (
	powerDir = "STRONGROOM_POWER_DIR" // set in the child: the directory with the vault
	powerLog = "STRONGROOM_POWER_LOG" // set in the child: the file for its results
	// powerCuts, set by a person, is the number of images; the default is 5.
	powerCuts = "STRONGROOM_POWER_CUTS"
	// powerKind, set by a person, is the file system; the default is ext4.
	powerKind = "STRONGROOM_POWER_KIND"
)

// TestPowerCut copies the disk under a vault at work, at random times, as a power cut would
// leave it: what the system has not yet written to the disk is not in the copy. Each copy is
// mounted, which replays the file system's journal, and the vault in it opens with all that
// was acknowledged. The copy does not leave out what a disk's own cache holds, because the
// device has none; and it is taken again if the system wrote to the disk meanwhile.
func TestPowerCut(t *testing.T) {
	if dir := os.Getenv(powerDir); dir != "" {
		workUntilCut(t, dir)
		return
	}
	t.Parallel()
	cuts, kind := heavy.Count(t, powerCuts, 5), os.Getenv(powerKind)
	if kind == "" {
		kind = "ext4"
	}
	size := 128
	if kind != "ext4" {
		size = 320 // the least for xfs
	}
	disk := smalldisk.Make(t, kind, size)
	dir, log := filepath.Join(disk.Dir, "v"), filepath.Join(t.TempDir(), "lines")
	v, err := Create(t.Context(), dir, testConfig(), passphrase(t, "correct horse"), passphrase(t, "battery staple"))
	must(t, err)
	mustKey(t, v.As(DefaultOwner), KeyOptions{Alias: "busy"})
	closeChecked(t, v)
	must(t, os.WriteFile(log, nil, 0o600))

	cmd := exec.Command(os.Args[0], "-test.run=^TestPowerCut$", "-test.v=false", "-edition="+testEdition().String())
	cmd.Env = append(os.Environ(), powerDir+"="+dir, powerLog+"="+log)
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	must(t, err)
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	must(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	results := 0
	for n := range cuts {
		next := results + 1 + rand.N(100)
		poll.Within(t, 10*time.Minute, "the process reports more results", func() bool { return len(linesOf(t, log)) >= next })
		must(t, cmd.Process.Signal(syscall.SIGSTOP))
		awaitStopped(t, cmd.Process.Pid)
		lines := linesOf(t, log)
		cut := filepath.Join(t.TempDir(), "cut")
		copyQuiet(t, disk.Path, cut)
		must(t, cmd.Process.Signal(syscall.SIGCONT))
		results = len(lines)
		openCut(t, disk, disk.MountCopy(t, cut), fmt.Sprint("power cut ", n), lines)
		must(t, os.Remove(cut))
		printed, err := os.ReadFile(output.Name())
		must(t, err)
		if bytes.Contains(printed, []byte("failed")) {
			t.Fatalf("the vault at work: %s", printed)
		}
	}
	t.Logf("%d power cuts on %s, %d results acknowledged before the last", cuts, kind, results)
}

// workUntilCut is the child. It does all acts in turn until it is killed.
func workUntilCut(t *testing.T, dir string) {
	out, err := os.OpenFile(os.Getenv(powerLog), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	cfg := testConfig()
	cfg.Backup = scheduleBeside(t, dir)
	v, err := Open(t.Context(), dir, cfg, passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal("failed", err)
	}
	s := newSession(t, v, dir, func(line string) { fmt.Fprintln(out, line) })
	for round := 0; ; round++ {
		for _, name := range []string{"encrypt", "tag", "create", "tag", "protectors", "tag", "disable", "rotate", "tag", "root", "backup", "cut", "save"} {
			if name == "root" && round >= 500 {
				continue // a store has at most 512 roots in its life
			}
			if err := sessionActs[name](s); err != nil {
				t.Fatal("failed", name, err)
			}
		}
	}
}

// awaitStopped waits until every thread of a process has stopped.
func awaitStopped(t *testing.T, pid int) {
	t.Helper()
	poll.Until(t, "every thread of the child has stopped", func() bool {
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		must(t, err)
		runs := func(path string) bool {
			b, err := os.ReadFile(path)
			_, state, _ := strings.Cut(string(b), ") ")
			return err == nil && !strings.HasPrefix(state, "T")
		}
		return len(stats) > 0 && !slices.ContainsFunc(stats, runs)
	})
}

// linesOf reads the results that a child reported.
func linesOf(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	return strings.Split(strings.TrimSpace(string(content)), "\n")
}

// copyQuiet copies a disk at a moment at which the system does not write to it.
func copyQuiet(t *testing.T, from, to string) {
	t.Helper()
	for range 20 {
		if output, err := exec.Command("cp", "--sparse=always", from, to).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v: %s", err, output)
		}
		if exec.Command("cmp", "-s", from, to).Run() == nil {
			return
		}
	}
	t.Fatal("the system always writes to the disk")
}

// openCut opens the vault on the copy of a disk. Files that the lines name are looked for
// on the copy.
func openCut(t *testing.T, original, disk smalldisk.Image, when string, lines []string) {
	t.Helper()
	defer disk.Unmount(t)
	for i := range lines {
		lines[i] = strings.Replace(lines[i], original.Dir, disk.Dir, 1)
	}
	v, err := Open(t.Context(), filepath.Join(disk.Dir, "v"), testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		t.Errorf("%s: Open: %v", when, err)
		return
	}
	checkAcknowledged(t, v, when, lines)
	if err := v.Close(); err != nil {
		t.Errorf("%s: Close: %v", when, err)
	}
}
