//go:build cgo && unix

package pkcs11_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testtoken"
)

// TestProcessesShareSealings: several processes start, seal and end concurrently, with
// sealings left for only some of the starts. No more of them seal than there are sealings
// left.
func TestProcessesShareSealings(t *testing.T) {
	const processes, starts, room = 3, 15, 25
	token := testtoken.NewSoftHSM(t)
	d, id := opened(t, token), freshID()
	if _, err := d.GenerateKey(t.Context(), id, sealSpec); err != nil {
		t.Fatal(err)
	}
	a := newAttacker(t, token)
	a.record(id, sealingsOfAKey-room*stepOfAStart)
	results := make(chan int, processes)
	for range processes {
		child := startSealer(t, token, id)
		go func() {
			n := 0
			for range starts {
				if child() {
					n++
				}
			}
			results <- n
		}()
	}
	sealed := 0
	for range processes {
		sealed += <-results
	}
	records, sealings := a.onRecord(id)
	t.Logf("%d of %d starts sealed, with room for %d; %d records", sealed, processes*starts, room, records)
	if sealed > room || sealed == 0 {
		t.Errorf("%d starts sealed, want 1 to %d", sealed, room)
	}
	if sealings < sealingsOfAKey-int64(room-sealed)*stepOfAStart {
		t.Errorf("%d sealings recorded, want more", sealings)
	}
}

const sealerToken = "STRONGROOM_TEST_SEALER"

// startSealer starts a process that, on each request, opens the token, seals once and
// closes the token. The function that it returns reports whether the sealing succeeded.
func startSealer(t *testing.T, token testtoken.PKCS11, id driver.MaterialID) func() bool {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestSealer$")
	cmd.Env = append(testtoken.Child(), fmt.Sprintf("%s=%s %s %s %s", sealerToken, token.Label, token.PINFile, token.Module, id))
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
	return func() bool {
		io.WriteString(in, "seal\n")
		if !answers.Scan() {
			t.Error("the other process ended early")
		}
		switch answers.Text() {
		case "sealed":
			return true
		case "refused":
		default:
			t.Errorf("the other process printed %q", answers.Text())
		}
		return false
	}
}

// TestSealer is the child process of TestProcessesShareSealings.
func TestSealer(t *testing.T) {
	var token testtoken.PKCS11
	var text string
	if _, err := fmt.Sscan(os.Getenv(sealerToken), &token.Label, &token.PINFile, &token.Module, &text); err != nil {
		return // this process is not the child
	}
	id, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		d := open(t, token)
		switch err := sealOnce(t, d, driver.MaterialID(id)); {
		case err == nil:
			fmt.Println("sealed")
		case is(err, driver.Invalid):
			fmt.Println("refused")
		default:
			fmt.Println(err)
		}
		d.Close()
	}
}
