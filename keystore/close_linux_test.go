package keystore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"strongroom.example/internal/testing/failcalls"
	"strongroom.example/keystore/storetest"
)

// closeChild is set in the child.
const closeChild = "STRONGROOM_CLOSE_CHILD"

// TestShortageAtClose: a sync of the tip that fails once for a shortage fails neither
// Create, Close nor Open, and the tip names the head.
func TestShortageAtClose(t *testing.T) {
	if dir := os.Getenv(closeChild); dir != "" {
		inBubble(t, func(t *testing.T) { closeUnderShortage(t, dir) })
		return
	}
	failcalls.NeedStrace(t)
	for call, injected := 1, true; injected; call++ {
		dir := t.TempDir()
		f := failcalls.Fault{Kind: "fsync", Code: "ENOSPC", Call: call, End: "close"}
		args := []string{"-test.run=^TestShortageAtClose$", "-test.v=false"}
		var output []byte
		var err error
		output, injected, err = f.Run([]string{filepath.Join(dir, "tip")}, args, []string{closeChild + "=" + dir})
		if err != nil || !strings.Contains(string(output), "close: <nil>, tip behind by 0") {
			t.Errorf("%v: %v\n%.2000s", f, err, output)
		}
		if !injected && call < 6 {
			t.Errorf("the tip was synced %d times, want at least by Create, twice by Open, and by two of Close", call-1)
		}
	}
}

// closeUnderShortage is the child. Its calls are on one thread, because the fault counts
// those of each thread. Its time stands still, so that no timer syncs the tip before Close.
func closeUnderShortage(t *testing.T, dir string) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	m := storetest.NewMemory()
	cfg := config(t, m)
	cfg.Dir = dir
	s := createSmall(t, cfg)
	must(t, s.Commit(t.Context(), small))
	must(t, s.Close())
	s, err := reopen(cfg)
	must(t, err)
	must(t, s.Commit(t.Context(), small))
	err = s.Close()
	head, tip := headAndTip(t, cfg, m)
	fmt.Printf("close: %v, tip behind by %d\n", err, head-tip)
}
