package vault

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/poll"
)

// The crash test runs this test binary again as the process to be killed.
const (
	crashDir  = "STRONGROOM_CRASH_DIR"  // set in the child: the vault's directory
	crashMode = "STRONGROOM_CRASH_MODE" // set in the child: its mode
	// crashCycles is the number of kills; the default is 100.
	crashCycles = "STRONGROOM_CRASH_CYCLES"
)

// turnMode is the mode whose vaults are copies of one with a nearly full redo log. The kills
// are around the moment at which the log turns to its second segment.
const turnMode = "turn"

// TestKilled repeatedly kills, at a random time, a process that uses a vault. No
// acknowledged result is lost, and every Open succeeds.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashChild(t, dir, os.Getenv(crashMode))
		return
	}
	t.Parallel()
	cycles := heavy.Count(t, crashCycles, 100)
	v, dir := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	mustKey(t, c, KeyOptions{Alias: "busy"})
	_, err := c.AddProtector(t.Context(), passphrase(t, "correct horse"), passphrase(t, "battery staple"))
	must(t, err)
	closeChecked(t, v)
	modes := []string{"idle", "encrypt", "create", "rotate", "tag", "protectors", "root", "backup", "disable", "datakeys", "cut", "save", "repair", turnMode}
	nearlyFull, turned := nearlyFullLog(t), 0
	var acked []string
	results := map[string]int{}
	for i := range cycles {
		mode, working := modes[i%len(modes)], i/len(modes)%2 == 1
		var fresh []string
		if mode == turnMode {
			var after bool
			if fresh, after = killAtTurn(t, nearlyFull, working); after {
				turned++
			}
		} else {
			fresh = killChild(t, dir, mode, working)
			confirmAfterKill(t, dir, mode == "repair", fresh)
			acked = append(acked, fresh...)
		}
		results[mode] += len(fresh)
	}
	confirmAfterKill(t, dir, false, acked)
	for _, mode := range modes[1:] {
		if results[mode] == 0 && cycles >= 100 {
			t.Errorf("mode %s: no result was acknowledged before a kill", mode)
		}
	}
	if turned == 0 && cycles >= 100 {
		t.Error("no kill came after the redo log had turned to its second segment")
	}
	t.Logf("%d kills, %d of them after the redo log turned, %d results acknowledged, none lost", cycles, turned, len(acked))
}

// killAtTurn kills a child process that works in a copy of a vault with a nearly full redo
// log, and checks the copy. turned reports that the log had turned before the kill.
func killAtTurn(t *testing.T, nearlyFull string, working bool) (acked []string, turned bool) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "v")
	copyVault(t, dir, nearlyFull)
	acked = killChild(t, dir, turnMode, working)
	turned = logTurned(dir)
	confirmAfterKill(t, dir, false, acked)
	must(t, os.RemoveAll(dir))
	return acked, turned
}

// crashChild uses the vault until it is killed, and prints each result that it received.
func crashChild(t *testing.T, dir, mode string) {
	ctx := context.Background()
	if mode == "repair" {
		fmt.Println("ready")
		if _, err := Repair(ctx, dir, testConfig(), passphrase(t, "correct horse")); err != nil {
			fmt.Println("failed", err)
			t.Fatal(err)
		}
		fmt.Println("repaired vault")
		poll.Until(t, "the process is killed", func() bool { return false })
	}
	cfg := testConfig()
	if mode == "save" {
		cfg.Backup = scheduleBeside(t, dir)
	}
	v, err := Open(ctx, dir, cfg, passphrase(t, "correct horse"))
	if err != nil {
		fmt.Println("failed", err)
		t.Fatal(err)
	}
	fmt.Println("ready")
	s := newSession(t, v, dir, func(line string) { fmt.Println(line) })
	if mode == turnMode {
		mode = "tag"
	}
	for {
		if mode == "idle" {
			select {} // until the process is killed
		}
		err := sessionActs[mode](s)
		if errors.Is(err, ErrTooLarge) { // the store has had as many roots as it can have
			mode = "idle"
		} else if err != nil {
			fmt.Println("failed", err)
			t.Fatal(err)
		}
	}
}

// killChild lets a child process work for a random time, kills it and returns the results
// that it had received. If working is set the time begins with the first result or, in
// turnMode, when the redo log turns.
func killChild(t *testing.T, dir, mode string, working bool) (acked []string) {
	t.Helper()
	if mode == "repair" {
		must(t, os.Remove(filepath.Join(dir, "tip")))
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$", "-test.v=false", "-edition="+testEdition().String())
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashMode+"="+mode)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if first, err := lines.ReadString('\n'); err != nil || first != "ready\n" {
		t.Fatalf("the vault did not open after a kill: %s", first)
	}
	pause := rand.N(60 * time.Millisecond)
	timer := time.AfterFunc(pause, func() { cmd.Process.Kill() })
	defer timer.Stop()
	if working && mode != "idle" {
		timer.Reset(time.Minute)
	}
	defer cmd.Wait()
	if working && mode == turnMode {
		poll.Until(t, "the redo log turns", func() bool { return logTurned(dir) })
		timer.Reset(pause)
		working = false
	}
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return acked // a line that the kill truncated was not acknowledged
		}
		if strings.HasPrefix(line, "failed") {
			t.Errorf("mode %s: an operation %s", mode, line)
		}
		if working && len(acked) == 0 && mode != "idle" {
			timer.Reset(pause)
		}
		acked = append(acked, strings.TrimSuffix(line, "\n"))
	}
}

// confirmAfterKill opens the vault, which it repairs if repairing is set, and checks every stored
// byte and every acknowledged result.
func confirmAfterKill(t *testing.T, dir string, repairing bool, acked []string) {
	t.Helper()
	ctx := t.Context()
	v, err := Open(ctx, dir, testConfig(), passphrase(t, "correct horse"))
	if errors.Is(err, ErrCorrupt) && repairing {
		if _, err = Repair(ctx, dir, testConfig(), passphrase(t, "correct horse")); err == nil {
			v, err = Open(ctx, dir, testConfig(), passphrase(t, "correct horse"))
		}
	}
	if err != nil {
		t.Fatalf("open after a kill: %v", err)
	}
	checkAcknowledged(t, v, "after a kill", acked)
	must(t, v.Close())
}

// TestCloseReleasesResources: after Close no locked page and no descriptor of the vault
// remains.
func TestCloseReleasesResources(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "v")
	v, err := Create(t.Context(), dir, testConfig(), passphrase(t, "p"))
	if err != nil {
		t.Fatal(err)
	}
	v.Close()
	before := descriptors(t)
	for range 5 {
		v, err := Open(t.Context(), dir, testConfig(), passphrase(t, "p"))
		if err != nil {
			t.Fatal(err)
		}
		k := mustKey(t, v.As(DefaultOwner), KeyOptions{})
		if _, err := v.As(DefaultOwner).GenerateDataKey(t.Context(), k.ID, 32, nil); err != nil {
			t.Fatal(err)
		}
		arena := v.arena
		if err := v.Close(); err != nil {
			t.Error(err)
		}
		if arena.InUse() != 0 || arena.LockedBytes() != 0 {
			t.Errorf("%d buffers, %d bytes locked after Close", arena.InUse(), arena.LockedBytes())
		}
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// descriptors returns the number of the process's open files. It skips the test if there is
// no /proc.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc on this system")
	}
	return len(entries)
}
