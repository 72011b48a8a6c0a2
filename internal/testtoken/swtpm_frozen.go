package testtoken

import (
	"os"
	"path/filepath"
	"testing"
)

// A Frozen is the complete state of a TPM at one moment: its persistent state, and its
// volatile state, such as keys, sessions with their nonces, and the state of its random
// number generator.
type Frozen struct{ dir string }

// Freeze copies the state of a TPM, which continues to run.
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
	os.Remove(filepath.Join(s.dir, stateFiles(s.dir, thawed)[1])) // otherwise this TPM would start from there
	return f
}

// Thaw starts a second TPM in the frozen state. To the same bytes that the first one has
// received since then, it responds with the same nonces. A recorded session can therefore
// be replayed to it, as often as it is thawed.
func (f Frozen) Thaw(t testing.TB) *SWTPM {
	t.Helper()
	return startSWTPM(t, f.dir, thawed)
}
