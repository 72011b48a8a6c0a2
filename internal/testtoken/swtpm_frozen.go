package testtoken

import (
	"os"
	"path/filepath"
	"testing"
)

// A Frozen is the whole state of a TPM at one moment: what it stores, and what it only
// remembers, such as keys and sessions with their nonces, and its generator of random
// numbers.
type Frozen struct{ dir string }

// Freeze copies the state of a TPM, which goes on.
func (s *SWTPM) Freeze(t testing.TB) Frozen {
	t.Helper()
	f := Frozen{t.TempDir()}
	if err := s.control(0, 0, 0, 10); err != nil {
		t.Fatal(err)
	}
	for _, name := range stateFiles(s.dir, thawed) {
		if err := copyFile(filepath.Join(f.dir, name), filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	os.Remove(filepath.Join(s.dir, stateFiles(s.dir, thawed)[1])) // or it would start from there
	return f
}

// Thaw starts a second TPM in the frozen state. To the very bytes that the first one got
// since, it gives answers with the same nonces: a recorded session can be played to it
// again, from that moment on, as often as it is thawed.
func (f Frozen) Thaw(t testing.TB) *SWTPM {
	t.Helper()
	return startSWTPM(t, f.dir, thawed)
}
