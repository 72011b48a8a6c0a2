package badger

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

// parallelTests is how many tests run at a time, at least: they wait for the disk for
// longer than they compute.
const parallelTests = 6

// TestMain runs as the child of a kill test where it is asked to, and otherwise
// fails if a test leaves a goroutine behind. Nothing of Badger's is excused.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(writeUntilKilled(dir))
	}
	if dir := os.Getenv(childStore); dir != "" {
		os.Exit(destroyUntilKilled(dir))
	}
	if dir := os.Getenv(childOpens); dir != "" {
		os.Exit(openAndClose(dir))
	}
	if dir := os.Getenv(childFaults); dir != "" {
		os.Exit(workUnderFaults(dir))
	}
	flag.Parse()
	if n, err := strconv.Atoi(flag.Lookup("test.parallel").Value.String()); err == nil && n < parallelTests {
		_ = flag.Set("test.parallel", strconv.Itoa(parallelTests))
	}
	goleak.VerifyTestMain(m)
}
