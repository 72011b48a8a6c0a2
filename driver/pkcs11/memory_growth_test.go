//go:build cgo && linux

package pkcs11_test

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/testtoken"
)

// resident returns the resident memory of the process, in bytes.
func resident(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestFailedCallsDoNotGrow has 10,000 calls with 4 KiB of input fail in the module, and
// checks that memory does not grow.
func TestFailedCallsDoNotGrow(t *testing.T) {
	const failures = 10_000
	limit := 1 << 20
	if raceDetector {
		limit = 16 << 20 // the race detector's data grows; a leak would be 40 MiB
	}
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	v := newTestKey(t, openedBasic(t, faulty.PKCS11))
	input, dst := make([]byte, 4<<10), make([]byte, 0, 32)
	faulty.Fail(testtoken.CSign, 0x21, 1<<30, false) // DATA_LEN_RANGE
	fail := func(n int) {
		for range n {
			if _, err := v.key.PRF(t.Context(), dst, input); !is(err, driver.Invalid) {
				t.Fatal(err)
			}
		}
	}
	fail(failures / 5) // fills the module's own caches
	before := resident(t)
	fail(failures)
	if grown := resident(t) - before; grown > limit {
		t.Errorf("%d failed calls grow the process by %d KiB", failures, grown>>10)
	} else {
		t.Logf("grown by %d KiB", grown>>10)
	}
	faulty.Fail(testtoken.CSign, 0, 0, false)
}
