package vault

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"
)

// importCrashDir is set in the child process of TestImportKilled: the vault's directory.
const importCrashDir = "STRONGROOM_IMPORT_CRASH_DIR"

// TestImportKilled repeatedly kills, at a random time, a process that deletes and imports
// material. Each Open succeeds, unfinished operations are completed, no other material is lost,
// and the CMK has its material completely or not at all.
func TestImportKilled(t *testing.T) {
	if dir := os.Getenv(importCrashDir); dir != "" {
		importCrashChild(t, dir)
		return
	}
	v, dir := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	kept := mustKey(t, c, KeyOptions{Alias: "kept"})
	imported := mustKey(t, c, KeyOptions{Origin: OriginExternal, Alias: "imported"})
	mustImport(t, c, imported.ID, newImportFixture(t, c, imported, ownKey(1)).material())
	var cts [2][]byte
	for i, k := range []Key{kept, imported} {
		ct, err := c.Encrypt(ctx, k.ID, []byte("x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		cts[i] = ct
	}
	closeChecked(t, v)
	states := map[KeyState]int{}
	for range 12 {
		acked := killImporter(t, dir)
		states[confirmImport(t, dir, cts, acked)]++
	}
	t.Logf("12 kills: %v", states)
}

// importCrashChild deletes and imports until it is killed, and prints the results that it
// received.
func importCrashChild(t *testing.T, dir string) {
	v, err := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		fmt.Println("failed", err)
		t.Fatal(err)
	}
	c := v.As(DefaultOwner)
	fmt.Println("ready")
	for {
		k, err := c.DescribeKey(t.Context(), "imported")
		if err != nil {
			t.Fatal(err)
		}
		if k.State == Enabled {
			for range rand.N(30) { // to make a kill at this point likely
				if k, err := c.DescribeKey(t.Context(), "imported"); err != nil || k.State != Enabled {
					t.Fatalf("the CMK with material: %s, %v", k.State, err)
				}
			}
			if err := c.DeleteImportedKeyMaterial(t.Context(), k.ID); err != nil {
				t.Fatal(err)
			}
			fmt.Println(PendingImport)
			continue
		}
		mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
		fmt.Println(Enabled)
	}
}

// killImporter kills a child process shortly after its start or after one of its first results,
// and returns the last state that it printed.
func killImporter(t *testing.T, dir string) (acked KeyState) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "-test.run=^TestImportKilled$", "-test.v=false", "-edition="+testEdition().String())
	cmd.Env = append(os.Environ(), importCrashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("the vault did not open after a kill: %s", lines.Text())
	}
	defer cmd.Wait()
	for at := rand.N(4); ; at-- {
		if at == 0 {
			timer := time.AfterFunc(rand.N(80*time.Millisecond), func() { cmd.Process.Kill() })
			defer timer.Stop()
		}
		if !lines.Scan() {
			break
		}
		acked = KeyState(lines.Text())
	}
	return acked
}

// confirmImport opens the vault after a kill.
func confirmImport(t *testing.T, dir string, cts [2][]byte, acked KeyState) KeyState {
	t.Helper()
	ctx := t.Context()
	v, err := Open(ctx, dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		t.Fatalf("open after a kill: %v", err)
	}
	defer closeChecked(t, v)
	c := v.As(DefaultOwner)
	if left := v.store.Paths(intents); len(left) != 0 {
		t.Errorf("intents remain: %q", left)
	}
	if got, err := c.Decrypt(ctx, cts[0], nil); err != nil || string(got) != "x" {
		t.Errorf("Decrypt with the other CMK: %q, error %v", got, err)
	}
	k, err := c.DescribeKey(ctx, "imported")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Decrypt(ctx, cts[1], nil)
	whole := k.State == Enabled && err == nil && string(got) == "x"
	gone := k.State == PendingImport && errors.Is(err, ErrKeyState)
	if !whole && !gone {
		t.Errorf("state %s although %q was acknowledged; Decrypt: %q, error %v", k.State, acked, got, err)
	}
	// At most the material of both CMKs, and one wrapping key.
	if n := len(v.store.Paths("material/")); n > 3 || gone && n > 2 {
		t.Errorf("state %s with %d materials", k.State, n)
	}
	return k.State
}
