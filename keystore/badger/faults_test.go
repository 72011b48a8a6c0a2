//go:build linux

package badger

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"strongroom.example/internal/testing/failcalls"
	"strongroom.example/keystore"
)

const (
	childFaults = "STRONGROOM_FAULTS_CHILD" // set in the child: the store's directory

	faultCommits = 45
	faultCut     = 15 // the log is cut once in so many commits
)

// workUnderFaults is the child. It opens the store, commits, reads back and cuts the log, in
// segments so small that tables are made and merged, and prints what was acknowledged. It
// goes on after errors, unless the store has failed closed.
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
	failcalls.Finish()
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
		if n%faultCut == 0 {
			fmt.Println("cut:", cutLog(s, out))
		}
	}
}

// cutLog removes the audit records but the last five and releases their space.
func cutLog(s *keystore.Store, out *os.File) error {
	ctx := context.Background()
	at, err := s.LogStateAt(ctx, s.LogState().Size-5)
	if err == nil {
		err = s.CutLog(ctx, at, func(tx *keystore.Tx) error { tx.Put("cut", nil); return nil })
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "cut", at.Size)
	return s.TrimLog(ctx)
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

// TestFaultAtEveryCall makes one system call of a working store fail, at each place in
// turn, and then closes or kills it: the store opens, holds all that was acknowledged and
// nothing else, and the process neither dies nor hangs.
func TestFaultAtEveryCall(t *testing.T) {
	t.Parallel()
	template := t.TempDir()
	s := keys(t, rollbackConfig(template), 3, 10)
	must(t, s.Close())
	failcalls.Each(t, 2, func(t *testing.T, f failcalls.Fault) bool { return underFault(t, template, f) })
}

// underFault runs the child under one fault and checks what it leaves. It reports whether
// there was such a call.
func underFault(t *testing.T, template string, f failcalls.Fault) bool {
	t.Helper()
	base := t.TempDir()
	defer os.RemoveAll(base)
	dir := filepath.Join(base, "v")
	must(t, os.CopyFS(dir, os.DirFS(template)))
	must(t, os.Chmod(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(base, "acknowledged"), nil, 0o600))
	output, injected, err := f.Run(failcalls.Paths(dir), nil, []string{childFaults + "=" + dir})
	if err != nil {
		t.Errorf("%v: the process: %v\n%.3000s", f, err, output)
		return injected
	}
	acked := acknowledged(t, filepath.Join(base, "acknowledged"))
	if acked.wrong != "" {
		t.Errorf("%v: %s", f, acked.wrong)
	}
	checkLeft(t, dir, f, acked, output)
	return injected
}

func checkLeft(t *testing.T, dir string, f failcalls.Fault, acked results, output []byte) {
	t.Helper()
	s, err := openStore(rollbackConfig(dir))
	if err != nil {
		t.Errorf("%v: Open: %v\n%.2000s", f, err, output)
		return
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Errorf("%v: Close: %v", f, err)
		}
	}()
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("%v: Check: %v", f, err)
	}
	if first := s.LogFirst().Size; first < acked.cut {
		t.Errorf("%v: the log begins with record %d, a cut before %d was acknowledged\n%.2000s", f, first, acked.cut, output)
	}
	found := 0
	if rec, err := s.Get(t.Context(), "counter"); err == nil {
		found, _ = strconv.Atoi(string(rec.Value))
	}
	if found < acked.last || found > acked.last+1 {
		t.Errorf("%v: the counter is %d, %d was acknowledged last\n%.2000s", f, found, acked.last, output)
	}
}

// results are what the child acknowledged.
type results struct {
	last  int    // number
	cut   uint64 // of the log
	wrong string // what it found wrong
}

func acknowledged(t *testing.T, path string) (r results) {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		if n, err := strconv.Atoi(lines.Text()); err == nil {
			r.last = n
		} else if _, err := fmt.Sscanf(lines.Text(), "cut %d", &r.cut); err != nil {
			r.wrong = lines.Text()
		}
	}
	return r
}
