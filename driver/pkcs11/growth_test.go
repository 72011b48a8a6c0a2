//go:build cgo && linux

package pkcs11_test

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testtoken"
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

// TestFailedDecryptsDoNotGrow decrypts 10,000 wrong ciphertexts of 16 KiB and checks that
// memory does not grow.
func TestFailedDecryptsDoNotGrow(t *testing.T) {
	const failures = 10_000
	limit := 1 << 20
	if raceDetector {
		limit = 16 << 20 // the race detector's data grows; a leak would be 160 MiB
	}
	d := opened(t, testtoken.NewSoftHSM(t))
	id, spec := freshID(), driver.KeySpec{Algorithm: driver.AES256GCM, Usage: driver.Seal}
	if _, err := d.GenerateKey(t.Context(), id, spec); err != nil {
		t.Fatal(err)
	}
	opened, err := d.OpenKey(t.Context(), id, spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	key, wrong, dst := opened.(driver.AEAD), make([]byte, 16<<10), make([]byte, 0, 17<<10)
	fail := func(n int) {
		for range n {
			if _, err := key.Open(t.Context(), dst, wrong, nil); !is(err, driver.Authentic) {
				t.Fatal(err)
			}
		}
	}
	fail(failures / 5) // fills the module's own caches
	before := resident(t)
	fail(failures)
	if grown := resident(t) - before; grown > limit {
		t.Errorf("%d failed decrypts grow the process by %d KiB", failures, grown>>10)
	} else {
		t.Logf("grown by %d KiB", grown>>10)
	}
}
