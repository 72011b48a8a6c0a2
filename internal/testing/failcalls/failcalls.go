//go:build linux

package failcalls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"strongroom.example/internal/testing/heavy"
)

const (
	// Most, set by a person, is up to which call of each kind a fault is injected, with
	// each error and each end. Without it a test injects a sample of the first 20.
	Most = "STRONGROOM_FAULT_CALLS"
	// End is set in the child: "close" or "kill".
	End = "STRONGROOM_FAULTS_END"

	sampled  = 20
	parallel = 3
)

// Fault is one fault: the Call-th call of a kind, counted for each thread, returns an
// error.
type Fault struct {
	Kind string // names of strace, separated by commas
	Code string
	Call int
	End  string
	// anyFile says that calls on other files than the store's count as well.
	anyFile bool
}

func (f Fault) String() string { return fmt.Sprintf("%s:%s:%d:%s", f.Kind, f.Code, f.Call, f.End) }

// kinds are the calls that can fail. The calls on names are counted on all files, because
// strace does not resolve a name that is relative to a handle.
var kinds = []struct {
	name    string
	anyFile bool
}{
	{"fsync", false}, {"fdatasync", false}, {"ftruncate", false}, {"write", false}, {"pwrite64", false},
	{"mmap", false}, {"pread64", false}, {"read", false}, {"fstat", false}, {"newfstatat", true}, {"openat", true},
	{"renameat,renameat2", true}, {"unlinkat", true}, {"msync", false}, {"fallocate", false}, {"fstatfs", true}, {"flock", true},
}

var codes = []string{"EIO", "ENOSPC", "EMFILE"}

var ends = []string{"close", "kill"}

// Try runs the child under a fault, in a new directory, and checks what it leaves. It
// reports whether there was such a call.
type Try func(t *testing.T, f Fault) (injected bool)

// Each calls try for every fault: a sample of the first 20 calls of each kind, in which
// errors and ends take turns, one in every-th of them; or, with Most set, every call that
// there is up to that number, with each error and each end. It skips the test where strace
// does not work, and fails it in CI.
func Each(t *testing.T, every int, try Try) {
	NeedStrace(t)
	most := heavy.Count(t, Most, 0)
	work := make(chan func(t *testing.T))
	var tried, injected atomic.Int64
	counted := func(t *testing.T, f Fault) bool {
		tried.Add(1)
		in := try(t, f)
		if in {
			injected.Add(1)
		}
		return in
	}
	t.Run("all", func(t *testing.T) {
		for n := range parallel {
			t.Run(strconv.Itoa(n), func(t *testing.T) {
				t.Parallel()
				for do := range work {
					do(t)
				}
			})
		}
		go func() {
			defer close(work)
			if most > 0 {
				exhaust(work, most, counted)
			} else {
				sample(work, every, counted)
			}
		}()
	})
	t.Logf("%d runs, %d with a fault", tried.Load(), injected.Load())
}

// sample sends one error and one end for a part of the first calls of each kind.
func sample(work chan<- func(*testing.T), every int, try Try) {
	n := 0
	for k, kind := range kinds {
		if kind.name == "msync" || kind.name == "fallocate" {
			continue // no code of the store makes these calls
		}
		for call := 1; call <= sampled; call++ {
			if n++; n%every != 0 {
				continue
			}
			f := Fault{kind.name, codes[(call+k)%len(codes)], call, ends[(call/3+k)%len(ends)], kind.anyFile}
			work <- func(t *testing.T) { try(t, f) }
		}
	}
}

// exhaust sends all errors and ends for each call, until a kind has no such call.
func exhaust(work chan<- func(*testing.T), most int, try Try) {
	for _, kind := range kinds {
		work <- func(t *testing.T) {
			for call := 1; call <= most; call++ {
				any := false
				for _, code := range codes {
					for _, end := range ends {
						any = try(t, Fault{kind.name, code, call, end, kind.anyFile}) || any
					}
				}
				if !any {
					t.Logf("%s: %d calls", kind.name, call-1)
					return
				}
			}
			t.Logf("%s: %d calls or more", kind.name, most)
		}
	}
}

// NeedStrace skips the test where system calls cannot be made to fail, and fails it in CI.
func NeedStrace(t *testing.T) {
	t.Helper()
	if err := exec.Command("strace", "-f", "-qq", "-e", "trace=none", "true").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("strace, which CI must have: %v", err)
		}
		t.Skip("strace cannot trace here: ", err)
	}
}

// Run runs this program as a child with the arguments and the environment, under the
// fault. paths are the store's files. err is nil if the child ended by itself without an
// error, or by its own SIGKILL where the fault's end is "kill".
func (f Fault) Run(paths, args, env []string) (output []byte, injected bool, err error) {
	trace, err := os.CreateTemp("", "strace")
	if err != nil {
		return nil, false, err
	}
	trace.Close()
	defer os.Remove(trace.Name())
	limit := hangLimit()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "strace", append(f.options(trace.Name(), paths), args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // the child too
	cmd.Env = append(append(os.Environ(), env...), End+"="+f.End)
	output, err = cmd.CombinedOutput()
	if ctx.Err() != nil {
		return output, true, fmt.Errorf("it hangs: it has not ended after %v", limit)
	}
	if f.End == "kill" && KilledItself(err) || beforeStart(err) {
		err = nil
	}
	calls, readErr := os.ReadFile(trace.Name())
	return output, bytes.Contains(calls, []byte("(INJECTED)")), errors.Join(err, readErr)
}

// hangLimit returns how long a child may run before it counts as hanging. A call hangs if it
// takes longer than 20 seconds. A run with Most set checks that. Without it the limit is a
// minute, because the machine may be busy with other tests.
func hangLimit() time.Duration {
	if os.Getenv(Most) != "" {
		return 20 * time.Second
	}
	return time.Minute
}

// options are strace's options and the program.
func (f Fault) options(trace string, paths []string) []string {
	options := []string{"-f", "-qq", "--seccomp-bpf", "-o", trace, "-e", "trace=" + f.Kind}
	if !f.anyFile {
		for _, path := range paths {
			options = append(options, "-P", path)
		}
	}
	for _, name := range strings.Split(f.Kind, ",") {
		options = append(options, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", name, f.Code, f.Call))
	}
	return append(options, os.Args[0])
}

// beforeStart reports whether the fault hit the system's loader, so that the program did
// not begin.
func beforeStart(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == 127
}

// KilledItself reports whether strace tells that its child was killed, as was meant.
func KilledItself(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && (status.Signaled() && status.Signal() == syscall.SIGKILL || status.ExitStatus() == 128+int(syscall.SIGKILL))
}

// Finish ends the child as its fault says: it returns if the child is to close the store,
// and does not return otherwise.
func Finish() {
	if os.Getenv(End) == "kill" {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// Paths are the files of a store in dir, and the directories, for Run.
func Paths(dir string) (paths []string) {
	names := []string{
		"", "tip", "lock", "journal", "journal.new", "root", "root.copy", "root.next", "root.new", "root.copy.new", "root.old",
		"store", "store/redo", "store/redo.2", "store/epoch", "store/MANIFEST", "store/MANIFEST.new",
	}
	for id := range 40 {
		names = append(names, fmt.Sprintf("store/%06d.sst", id))
	}
	for _, name := range names {
		paths = append(paths, filepath.Join(dir, name))
	}
	return paths
}
