package vault

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The crash test runs this test binary again as the process to be killed.
const (
	crashDir  = "STRONGROOM_CRASH_DIR"  // set in the child: the vault's directory
	crashMode = "STRONGROOM_CRASH_MODE" // set in the child: its mode
	// crashCycles is the number of kills; the default is 32.
	crashCycles = "STRONGROOM_CRASH_CYCLES"
)

// TestKilled repeatedly kills, at a random time, a process that uses a vault. No
// acknowledged result is lost, and every Open succeeds.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(crashDir); dir != "" {
		victim(t, dir, os.Getenv(crashMode))
		return
	}
	cycles := 32
	if n, err := strconv.Atoi(os.Getenv(crashCycles)); err == nil && n > 0 {
		cycles = n
	}
	v, dir := newTestVault(t, testConfig())
	mustKey(t, v.As(DefaultOwner), KeyOptions{Alias: "busy"})
	closeChecked(t, v)
	modes := []string{"idle", "busy", "create", "rotate"}
	var acked []string
	results := map[string]int{}
	for i := range cycles {
		fresh := killOne(t, dir, modes[i%len(modes)])
		confirm(t, dir, fresh)
		acked = append(acked, fresh...)
		results[modes[i%len(modes)]] += len(fresh)
	}
	confirm(t, dir, acked)
	for _, mode := range modes[1:] {
		if results[mode] == 0 && cycles >= 32 {
			t.Errorf("mode %s: no result was acknowledged before a kill", mode)
		}
	}
	t.Logf("%d kills, %d results acknowledged, none lost", cycles, len(acked))
}

// victim uses the vault until it is killed, and prints each result that it received.
func victim(t *testing.T, dir, mode string) {
	ctx := context.Background()
	v, err := Open(ctx, dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		fmt.Println("failed", err)
		t.Fatal(err)
	}
	c := v.As(DefaultOwner)
	fmt.Println("ready")
	for {
		var result string
		switch mode {
		case "idle":
			time.Sleep(time.Hour)
		case "busy":
			ct, err := c.Encrypt(ctx, "busy", []byte("x"), nil)
			if err != nil {
				t.Fatal(err)
			}
			result = "ciphertext " + hex.EncodeToString(ct)
		case "create":
			k, err := c.CreateKey(ctx, KeyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			result = "key " + k.ID
		case "rotate":
			k, err := c.RotateKey(ctx, "busy")
			if err != nil {
				t.Fatal(err)
			}
			result = fmt.Sprint("version ", k.Version)
		}
		fmt.Println(result)
	}
}

// killOne lets a victim work for a random time, kills it and returns the results that it
// had received.
func killOne(t *testing.T, dir, mode string) (acked []string) {
	t.Helper()
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
	timer := time.AfterFunc(rand.N(60*time.Millisecond), func() { cmd.Process.Kill() })
	defer timer.Stop()
	defer cmd.Wait()
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return acked // a line that the kill truncated was not acknowledged
		}
		acked = append(acked, strings.TrimSuffix(line, "\n"))
	}
}

// confirm opens the vault and checks every stored byte and every acknowledged result.
func confirm(t *testing.T, dir string, acked []string) {
	t.Helper()
	ctx := t.Context()
	v, err := Open(ctx, dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		t.Fatalf("open after a kill: %v", err)
	}
	defer closeChecked(t, v)
	c := v.As(DefaultOwner)
	busy, err := c.DescribeKey(ctx, "busy")
	if err != nil {
		t.Fatal(err)
	}
	if len(v.store.Paths(intents)) != 0 {
		t.Error("an intent remains after Open")
	}
	for _, line := range acked {
		kind, value, _ := strings.Cut(line, " ")
		switch kind {
		case "ciphertext":
			ct, err := hex.DecodeString(value)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.Decrypt(ctx, ct, nil); err != nil || string(got) != "x" {
				t.Errorf("Decrypt of an acknowledged ciphertext: %q, error %v", got, err)
			}
		case "key":
			if k, err := c.DescribeKey(ctx, value); err != nil || k.State != Enabled {
				t.Errorf("DescribeKey of an acknowledged key: state %v, error %v", k.State, err)
			}
		case "version":
			if n, err := strconv.Atoi(value); err != nil || uint32(n) > busy.Version {
				t.Errorf("version %s was acknowledged, and the key has version %d", value, busy.Version)
			}
		}
	}
}

// TestNothingLeft: after Close no locked page and no descriptor of the vault remains.
func TestNothingLeft(t *testing.T) {
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
