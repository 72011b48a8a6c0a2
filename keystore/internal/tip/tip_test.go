package tip

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/internal/suite"
	"strongroom.example/keystore/internal/directory"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/recordtest"
)

const name = "tip"

// TestTornTip: after a power cut at any time, with all writes to the tip since its last
// sync torn, the last synced state is still there.
func TestTornTip(t *testing.T) {
	k := recordtest.Keys(t, suite.AES)
	dir := t.TempDir()
	path := filepath.Join(dir, name)
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
	opened := func(dir string) *directory.Dir {
		d, err := directory.Open(dir)
		check(err)
		t.Cleanup(func() { d.Close() })
		return d
	}
	home := opened(dir)
	now, err := Create(home, name)
	check(err)
	check(now.Write(k, State{Generation: 1}))
	check(now.Sync())
	synced, durable := uint64(1), content()
	for generation := uint64(2); generation < 200; generation++ {
		check(now.Write(k, State{Generation: generation}))
		cut := t.TempDir()
		check(os.WriteFile(filepath.Join(cut, name), torn(durable, content()), 0o600))
		after, seen, err := Open(opened(cut), name, k)
		if err != nil || seen.Generation != synced {
			t.Fatalf("cut at generation %d, synced %d: Open returned generation %d, %v, want the synced one", generation, synced, seen.Generation, err)
		}
		check(after.Close())
		switch rand.IntN(4) {
		case 0:
			check(now.Sync())
			synced, durable = generation, content()
		case 1: // the process is killed
			check(now.Close())
			now, seen, err = Open(home, name, k)
			check(err)
			synced, durable = seen.Generation, content()
		}
	}
	check(now.Close())
}

// torn damages each slot in which is differs from was.
func torn(was, is []byte) []byte {
	out := bytes.Clone(is)
	for at := 0; at < len(out); at += slotSize {
		if !bytes.Equal(was[at:at+slotSize], is[at:at+slotSize]) {
			out[at+bodySize/2] ^= 1
		}
	}
	return out
}

func FuzzTip(f *testing.F) {
	k := recordtest.Keys(f, suite.AES)
	good := bytes.Clone((&File{}).encode(k, State{Generation: 5, Size: 2, Frontier: make([][32]byte, 3)}))
	f.Add(good, true)
	f.Add(good, false)
	f.Add(append(bytes.Clone(magic1), make([]byte, bodySize)...), true)
	f.Fuzz(func(t *testing.T, b []byte, forge bool) {
		if forge && len(b) > 32 { // with a valid MAC
			mac := k.MAC(keyring.Tip, b[:len(b)-32])
			copy(b[len(b)-32:], mac[:])
		}
		if s, ok := parse(k, b); ok && bytes.HasPrefix(b, magic) && !bytes.HasPrefix(b, (&File{}).encode(k, s)) {
			t.Error("a tip slot that parses is encoded to different bytes")
		}
	})
}
