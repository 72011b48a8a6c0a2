package badger

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

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
	goleak.VerifyTestMain(m)
}
