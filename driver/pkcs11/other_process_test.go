//go:build cgo && unix

package pkcs11_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/testtoken"
)

// TestDestroyedByAnotherProcess: after a second process has destroyed the key, it is
// NotFound, and other keys work.
func TestDestroyedByAnotherProcess(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	d := openedBasic(t, token)
	witness := newTestKey(t, d)
	destroy := startDestroyer(t, token)
	for range cycles(t) {
		v := newTestKey(t, d)
		destroy(v.id)
		if err := v.use(t); !is(err, driver.NotFound) {
			t.Fatalf("use of a key that another process destroyed: %v, want NotFound", err)
		}
		if _, err := d.OpenKey(t.Context(), v.id, derive, nil); !is(err, driver.NotFound) {
			t.Fatalf("OpenKey of a key that another process destroyed: %v, want NotFound", err)
		}
		if err := d.DestroyKey(t.Context(), v.id, nil); err != nil {
			t.Fatalf("DestroyKey of a key that another process destroyed: %v", err)
		}
		witness.mustWork(t, "after another key was destroyed")
	}
}

const destroyerToken = "STRONGROOM_TEST_DESTROYER"

// startDestroyer starts a process that destroys the keys whose ids it gets.
func startDestroyer(t *testing.T, token testtoken.PKCS11) func(driver.MaterialID) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestDestroyer$")
	cmd.Env = append(testtoken.Child(), destroyerToken+"="+token.Label+" "+token.PINFile+" "+token.Module)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	answers := bufio.NewScanner(out)
	return func(id driver.MaterialID) {
		t.Helper()
		fmt.Fprintln(in, id)
		if !answers.Scan() || answers.Text() != "done" {
			t.Fatalf("the other process printed %q", answers.Text())
		}
	}
}

// TestDestroyer is the child process of TestDestroyedByAnotherProcess.
func TestDestroyer(t *testing.T) {
	var token testtoken.PKCS11
	if _, err := fmt.Sscan(os.Getenv(destroyerToken), &token.Label, &token.PINFile, &token.Module); err != nil {
		return // this process is not the child
	}
	d := openedBasic(t, token)
	ids := bufio.NewScanner(os.Stdin)
	for ids.Scan() {
		id, err := hex.DecodeString(ids.Text())
		if err == nil {
			err = d.DestroyKey(t.Context(), driver.MaterialID(id), nil)
		}
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("done")
	}
}
