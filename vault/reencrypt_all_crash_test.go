package vault

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"strongroom.example/internal/testing/heavy"
)

const (
	// reEncryptDir and reEncryptUntil are set in the child process of TestReEncryptAllKilled:
	// the directory of its files, and the number of items after which it is killed.
	reEncryptDir   = "STRONGROOM_REENCRYPT_DIR"
	reEncryptUntil = "STRONGROOM_REENCRYPT_UNTIL"
	// reEncryptItems is the number of ciphertexts; the default is 1000.
	reEncryptItems = "STRONGROOM_REENCRYPT_ITEMS"
	// tokenEvery is the number of items between two tokens that the child stores.
	tokenEvery = 10
)

// TestReEncryptAllKilled kills a process five times while it re-encrypts many ciphertexts, and
// lets the last process finish: every ciphertext is stored under the new version, and few
// were stored twice.
func TestReEncryptAllKilled(t *testing.T) {
	if dir := os.Getenv(reEncryptDir); dir != "" {
		reEncryptChild(t, dir)
		return
	}
	count := heavy.Count(t, reEncryptItems, 1000)
	v, dir := newTestVault(t, testConfig())
	k := mustKey(t, v.As(DefaultOwner), KeyOptions{Alias: "k"})
	files := t.TempDir()
	writeItems(t, v.As(DefaultOwner), filepath.Join(files, "items"), count)
	must(t, second(v.As(DefaultOwner).RotateKey(t.Context(), "k")))
	closeChecked(t, v)
	const kills = 5
	for n := range kills + 1 {
		until := strconv.Itoa(count / kills)
		if n == kills {
			until = "0" // to the end
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestReEncryptAllKilled$", "-test.timeout=30m", "-edition="+testEdition().String())
		cmd.Env = append(os.Environ(), reEncryptDir+"="+files, reEncryptUntil+"="+until, crashDir+"="+dir)
		out, err := cmd.CombinedOutput()
		if killed := strings.Contains(fmt.Sprint(err), "killed"); killed != (n < kills) || err != nil && !killed {
			t.Fatalf("process %d: %v\n%s", n, err, out)
		}
	}
	v, err := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
	must(t, err)
	defer closeChecked(t, v)
	stored := 0
	done := map[string][]byte{}
	must(t, eachLine(filepath.Join(files, "done"), func(id string, ct []byte) error {
		stored++
		done[id] = ct
		return nil
	}))
	checkReEncrypted(t, v.As(DefaultOwner), k.ID, done, count)
	if most := count + kills*tokenEvery; stored > most {
		t.Errorf("%d items were stored %d times, want at most %d", count, stored, most)
	}
	t.Logf("%d kills, %d ciphertexts, %d stored twice, none lost", kills, count, stored-count)
}

// reEncryptChild goes on with the token that the process before stored, and kills itself
// after some items.
func reEncryptChild(t *testing.T, files string) {
	until, err := strconv.Atoi(os.Getenv(reEncryptUntil))
	must(t, err)
	v, err := Open(t.Context(), os.Getenv(crashDir), testConfig(), passphrase(t, "correct horse"))
	must(t, err)
	token, err := os.ReadFile(filepath.Join(files, "token"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	out, err := os.OpenFile(filepath.Join(files, "done"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	source := func(yield func(ReEncryptItem, error) bool) {
		err := eachLine(filepath.Join(files, "items"), func(id string, ct []byte) error {
			if !yield(ReEncryptItem{ID: id, Ciphertext: ct}, nil) {
				return io.EOF
			}
			return nil
		})
		if err != nil && err != io.EOF {
			yield(ReEncryptItem{}, err)
		}
	}
	n := 0
	_, err = v.As(DefaultOwner).ReEncryptAll(t.Context(), "k", source, func(_ context.Context, r ReEncrypted) error {
		if r.Err != nil {
			return r.Err
		}
		if n++; n == until {
			self, err := os.FindProcess(os.Getpid())
			must(t, err)
			must(t, self.Kill())
			select {}
		}
		_, err := fmt.Fprintf(out, "%s %x\n", r.ID, r.Ciphertext)
		return err
	}, ReEncryptOptions{Resume: string(token), Progress: func(p ReEncryptProgress) {
		if p.Done%tokenEvery == 0 {
			must(t, os.WriteFile(filepath.Join(files, "token.new"), []byte(p.Resume), 0o600))
			must(t, os.Rename(filepath.Join(files, "token.new"), filepath.Join(files, "token")))
		}
	}})
	must(t, errors.Join(err, out.Close(), v.Close()))
}

// writeItems encrypts the texts "0" to count-1, with 16 callers, and writes a line for each.
func writeItems(t *testing.T, c Client, path string, count int) {
	t.Helper()
	cts := make([][]byte, count)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < count; i += 16 {
				var err error
				if cts[i], err = c.Encrypt(t.Context(), "k", []byte(strconv.Itoa(i)), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var text strings.Builder
	for i, ct := range cts {
		fmt.Fprintf(&text, "%d %x\n", i, ct)
	}
	must(t, os.WriteFile(path, []byte(text.String()), 0o600))
}

// checkReEncrypted checks that every text is there, under version 2.
func checkReEncrypted(t *testing.T, c Client, key string, done map[string][]byte, count int) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < count; i += 16 {
				ct := done[strconv.Itoa(i)]
				text, err := c.Decrypt(t.Context(), ct, nil)
				in, _ := Inspect(ct)
				if err != nil || string(text) != strconv.Itoa(i) || in.Version != 2 || in.Key != key {
					t.Errorf("item %d: text %q, version %d, error %v", i, text, in.Version, err)
				}
			}
		})
	}
	wg.Wait()
}

// eachLine reads a file of lines with an id and a ciphertext.
func eachLine(path string, f func(id string, ct []byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		id, text, _ := strings.Cut(lines.Text(), " ")
		ct, err := hex.DecodeString(text)
		if err != nil {
			return err
		}
		if err := f(id, ct); err != nil {
			return err
		}
	}
	return lines.Err()
}
