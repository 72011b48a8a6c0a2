package badger

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The redo log begins again once Badger has one log at most, whatever the directory
// is called: a name is no pattern.
func TestOlderLogsAreWaitedFor(t *testing.T) {
	for _, name := range []string{"plain", "v[1]", "v[1"} {
		dir := filepath.Join(t.TempDir(), name)
		e := open(t, dir).(*engine)
		older := filepath.Join(dir, "99999.mem")
		must(t, os.WriteFile(older, make([]byte, 4096), 0o600))
		flushed := make(chan error, 1)
		go func() { flushed <- e.flushed() }()
		select {
		case err := <-flushed:
			t.Errorf("%s: an older log was not waited for", name)
			flushed <- err
		case <-time.After(50 * time.Millisecond):
		}
		must(t, os.Remove(older))
		must(t, <-flushed)
	}
}
