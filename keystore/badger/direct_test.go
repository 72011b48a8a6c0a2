package badger

import (
	"bytes"
	crand "crypto/rand"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"unsafe"
)

// Direct writes of any length leave the same bytes as others would, and zeros up to
// the end of the last block.
func TestDirectWrites(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	must(t, os.WriteFile(path, bytes.Repeat([]byte{0xff}, 1<<20), 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	for range 20 { // each from another beginning, whose block keeps what it held
		before := rand.IntN(20000)
		want, err := os.ReadFile(path)
		must(t, err)
		want = want[:before]
		d := newDirect(f, int64(before))
		if d == nil {
			t.Skip("no direct writing in", filepath.Dir(path), "(Linux has it, but for some file systems: set TMPDIR to another)")
		}
		defer d.close()
		for range 20 {
			b := make([]byte, 1+rand.IntN([]int{10, 5000, 50000}[rand.IntN(3)]))
			crand.Read(b)
			must(t, d.write(b, int64(len(want))))
			want = append(want, b...)
			rest := blockSize - 1 - (len(want)-1)%blockSize
			got, err := os.ReadFile(path)
			must(t, err)
			if !bytes.Equal(got[:len(want)+rest], append(bytes.Clone(want), make([]byte, rest)...)) {
				t.Fatalf("other bytes, or no zeros, after a write up to %d", len(want))
			}
		}
	}
}

func TestBlocksAreAligned(t *testing.T) {
	t.Parallel()
	for n := range 100 {
		b := alignedBlocks(n + 1)
		if uintptr(unsafe.Pointer(&b[0]))%blockSize != 0 || len(b) != (n+1)*blockSize {
			t.Errorf("%p, %d bytes", &b[0], len(b))
		}
	}
}

// Where there are no direct writes the log goes through the cache, and one way takes
// over from the other at any Open.
func TestRedoThroughTheCache(t *testing.T) {
	t.Parallel()
	dir, want := t.TempDir(), model{}
	for n := range 4 {
		x, err := Open(dir)
		must(t, err)
		e := x.(*engine)
		if n%2 == 0 {
			must(t, e.log.uncached.close())
			e.log.uncached = nil
		}
		for range 300 {
			b := change(16 << 10)
			must(t, e.Commit(t.Context(), b))
			want.apply(b)
		}
		reopened(t, crash(t, dir), want)
		must(t, e.Close())
	}
}
