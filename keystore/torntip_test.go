package keystore

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/internal/suite"
)

// TestTornTip: after a power cut at any time, with all writes to the tip since its last
// sync torn, the last synced state is still there.
func TestTornTip(t *testing.T) {
	k, _ := fuzzKeys(t, suite.AES)
	dir := t.TempDir()
	path := filepath.Join(dir, tipFile)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	content := func() []byte {
		b, err := os.ReadFile(path)
		check(err)
		return b
	}
	opened := func(dir string) *directory {
		d, err := openDirectory(dir)
		check(err)
		t.Cleanup(func() { d.close() })
		return d
	}
	home := opened(dir)
	now, err := createTip(home)
	check(err)
	check(now.write(k, tipState{generation: 1}))
	check(now.sync())
	synced, durable := uint64(1), content()
	for generation := uint64(2); generation < 200; generation++ {
		check(now.write(k, tipState{generation: generation}))
		cut := t.TempDir()
		check(os.WriteFile(filepath.Join(cut, tipFile), torn(durable, content()), 0o600))
		after, seen, err := openTip(opened(cut), k)
		if err != nil || seen.generation != synced {
			t.Fatalf("cut at generation %d, synced %d: openTip returned generation %d, %v, want the synced one", generation, synced, seen.generation, err)
		}
		check(after.file.Close())
		switch rand.IntN(4) {
		case 0:
			check(now.sync())
			synced, durable = generation, content()
		case 1: // the process is killed
			check(now.file.Close())
			now, seen, err = openTip(home, k)
			check(err)
			synced, durable = seen.generation, content()
		}
	}
	check(now.file.Close())
}

// torn damages each slot in which is differs from was.
func torn(was, is []byte) []byte {
	out := bytes.Clone(is)
	for at := 0; at < len(out); at += tipSlot {
		if !bytes.Equal(was[at:at+tipSlot], is[at:at+tipSlot]) {
			out[at+tipBody/2] ^= 1
		}
	}
	return out
}
