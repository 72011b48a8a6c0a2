//go:build linux

package badger

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"strongroom.example/keystore"
)

const (
	childFaults = "STRONGROOM_FAULTS_CHILD" // set in the child: the store's directory
	faultsEnd   = "STRONGROOM_FAULTS_END"   // set in the child: "close" or "kill"
	// faultCalls, set by a person, is up to which call of each kind a fault is injected,
	// with each error and each end; without it up to the 20th, with one error and end each.
	faultCalls = "STRONGROOM_FAULT_CALLS"

	faultCommits = 45
)

// workUnderFaults is the child. It opens the store, commits and reads back, in segments
// so small that tables are made and merged, and prints what was acknowledged. It goes
// on after errors, unless the store has failed closed.
func workUnderFaults(dir string) int {
	segmentLimit = 96 << 10
	acknowledged := filepath.Join(filepath.Dir(dir), "acknowledged")
	out, err := os.OpenFile(acknowledged, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil { // the fault was for this call
		if out, err = os.OpenFile(acknowledged, os.O_WRONLY|os.O_APPEND, 0); err != nil {
			return 3
		}
	}
	s, err := openStore(rollbackConfig(dir))
	if err != nil {
		fmt.Println("open:", err)
		return 0
	}
	work(s, out)
	if os.Getenv(faultsEnd) == "kill" {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	fmt.Println("close:", s.Close())
	return 0
}

func work(s *keystore.Store, out *os.File) {
	last := 0
	if rec, err := s.Get(context.Background(), "counter"); err == nil {
		last, _ = strconv.Atoi(string(rec.Value))
	}
	for range faultCommits {
		if s.Failed() != nil {
			break
		}
		n := last + 1 // again after a commit that failed, so that one number at most is in doubt
		err := s.Commit(context.Background(), func(tx *keystore.Tx) error {
			tx.Put("counter", fmt.Append(nil, n))
			tx.Put(fmt.Sprint("bulk/", n%15), bytes.Repeat(fmt.Appendf(nil, "%08d", n), 1500))
			tx.Log(func(uint64) []byte { return fmt.Append(nil, n) })
			return nil
		})
		if err == nil {
			last = n
			fmt.Fprintln(out, n)
		} else {
			fmt.Println("commit:", err)
		}
		if wrong := readsBack(s, last); wrong != nil && s.Failed() == nil {
			fmt.Fprintln(out, "wrong:", wrong)
		}
	}
}

// readsBack reads what was acknowledged last.
func readsBack(s *keystore.Store, last int) error {
	rec, err := s.Get(context.Background(), "counter")
	if last == 0 && errors.Is(err, keystore.ErrNotFound) {
		return nil
	}
	if err == nil && string(rec.Value) != fmt.Sprint(last) {
		err = fmt.Errorf("the counter is %q, want %d", rec.Value, last)
	}
	return err
}

// injection is one fault: the call-th call of a kind on one of the store's files fails.
type injection struct {
	kind, code string
	call       int
	end        string
}

func (i injection) String() string { return fmt.Sprintf("%s:%s:%d:%s", i.kind, i.code, i.call, i.end) }

// faultKinds are the calls that can fail, by their names in strace, as the engine uses
// them. onFiles says that only calls on the store's files count.
var faultKinds = []struct {
	name    string
	onFiles bool
}{
	{"fsync", true}, {"fdatasync", true}, {"ftruncate", true}, {"write", true}, {"pwrite64", true},
	{"mmap", true}, {"pread64", true}, {"fstat", true}, {"openat", false}, {"renameat,renameat2", false}, {"unlinkat", false},
}

var faultCodes = []string{"EIO", "ENOSPC", "EMFILE"}

// injections is the list for a test: all up to call most if most is set, else a sample
// up to call 20 in which errors and ends take turns.
func injections(most int) (out []injection) {
	for k, kind := range faultKinds {
		for call := 1; call <= max(most, 20); call++ {
			for c, code := range faultCodes {
				for e, end := range []string{"close", "kill"} {
					if most > 0 || (call+k)%3 == c && (call/3+k)%2 == e {
						out = append(out, injection{kind.name, code, call, end})
					}
				}
			}
		}
	}
	return out
}

// TestFaultAtEveryCall makes one system call of a working store fail, at each place in
// turn, and then closes or kills it: the store opens, holds all that was acknowledged and
// nothing else, and the process neither dies nor hangs.
func TestFaultAtEveryCall(t *testing.T) {
	needStrace(t)
	most, _ := strconv.Atoi(os.Getenv(faultCalls))
	template := t.TempDir()
	s := keys(t, rollbackConfig(template), 3, 10)
	must(t, s.Close())
	list := injections(most)
	work := make(chan injection)
	t.Run("all", func(t *testing.T) {
		for worker := range 3 {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for i := range work {
					underFault(t, template, i)
				}
			})
		}
		go func() {
			defer close(work)
			for _, i := range list {
				work <- i
			}
		}()
	})
	t.Logf("%d faults", len(list))
}

// needStrace skips the test where system calls cannot be made to fail, and fails it in CI.
func needStrace(t *testing.T) {
	t.Helper()
	if err := exec.Command("strace", "-f", "-qq", "-e", "trace=none", "true").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("strace, which CI must have: %v", err)
		}
		t.Skip("strace cannot trace here: ", err)
	}
}

// underFault runs the child under one fault and checks what it leaves.
func underFault(t *testing.T, template string, i injection) {
	t.Helper()
	base := t.TempDir()
	defer os.RemoveAll(base)
	dir := filepath.Join(base, "v")
	must(t, os.CopyFS(dir, os.DirFS(template)))
	must(t, os.Chmod(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(base, "acknowledged"), nil, 0o600))
	output, err := runUnderFault(dir, i)
	if err != nil && !(i.end == "kill" && killedItself(err)) {
		t.Errorf("%v: the process: %v\n%.3000s", i, err, output)
		return
	}
	acked, wrong := acknowledged(t, filepath.Join(base, "acknowledged"))
	if wrong != "" {
		t.Errorf("%v: %s", i, wrong)
	}
	checkLeft(t, dir, i, acked, output)
}

func checkLeft(t *testing.T, dir string, i injection, acked int, output []byte) {
	t.Helper()
	s, err := openStore(rollbackConfig(dir))
	if err != nil {
		t.Errorf("%v: Open: %v\n%.2000s", i, err, output)
		return
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Errorf("%v: Close: %v", i, err)
		}
	}()
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("%v: Check: %v", i, err)
	}
	found := 0
	if rec, err := s.Get(t.Context(), "counter"); err == nil {
		found, _ = strconv.Atoi(string(rec.Value))
	}
	if found < acked || found > acked+1 {
		t.Errorf("%v: the counter is %d, %d was acknowledged last\n%.2000s", i, found, acked, output)
	}
}

// runUnderFault runs this program as the child, under strace.
func runUnderFault(dir string, i injection) ([]byte, error) {
	args := []string{"-f", "-qq", "-o", os.DevNull, "-e", "trace=" + i.kind}
	for _, kind := range faultKinds {
		if kind.name == i.kind && kind.onFiles {
			args = append(args, storePaths(dir)...)
		}
	}
	for _, name := range strings.Split(i.kind, ",") {
		args = append(args, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", name, i.code, i.call))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "strace", append(args, os.Args[0])...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // the child too
	cmd.Env = append(os.Environ(), childFaults+"="+dir, faultsEnd+"="+i.end)
	output, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = errors.New("it hangs")
	}
	return output, err
}

// storePaths are the files whose calls count, as strace's options.
func storePaths(dir string) (args []string) {
	names := []string{"", "tip", "root", "root.copy", "store", "store/redo", "store/redo.2", "store/epoch", "store/MANIFEST", "store/MANIFEST.new"}
	for id := range 40 {
		names = append(names, fmt.Sprintf("store/%06d.sst", id))
	}
	for _, name := range names {
		args = append(args, "-P", filepath.Join(dir, name))
	}
	return args
}

// killedItself reports whether strace tells that its child was killed, as was meant.
func killedItself(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && (status.Signaled() && status.Signal() == syscall.SIGKILL || status.ExitStatus() == 128+int(syscall.SIGKILL))
}

// acknowledged is the last number that the child acknowledged, and what it found wrong.
func acknowledged(t *testing.T, path string) (last int, wrong string) {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		if n, err := strconv.Atoi(lines.Text()); err == nil {
			last = n
		} else {
			wrong = lines.Text()
		}
	}
	return last, wrong
}
