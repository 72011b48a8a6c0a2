package badger

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.example/keystore"
)

// stored makes a closed store of one or more tables, with the pairs in it.
func stored(t *testing.T) (string, []keystore.Pair) {
	t.Helper()
	dir := t.TempDir()
	var pairs []keystore.Pair
	for round := range 3 {
		e := open(t, dir)
		var b keystore.Batch
		for i := range 40 {
			value := make([]byte, 200)
			rand.Read(value)
			b.Put = append(b.Put, keystore.Pair{Key: []byte{byte(round), byte(i)}, Value: value})
		}
		if err := e.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, b.Put...)
	}
	return dir, pairs
}

// only returns the files of the store with an extension; there must be some.
func only(t *testing.T, dir, ext string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+ext))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s in %s: %v", ext, dir, err)
	}
	return names
}

// refused writes content to path and checks that Open names the damage.
func refused(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := Open(filepath.Dir(path))
	if err == nil {
		e.Close()
		t.Fatalf("%s: damage not found", path)
	}
	if !errors.Is(err, keystore.ErrCorrupt) || !strings.Contains(err.Error(), filepath.Base(path)) {
		t.Fatalf("%v", err)
	}
}

// whole checks that every pair is there.
func whole(t *testing.T, dir string, pairs []keystore.Pair) {
	t.Helper()
	e := open(t, dir)
	for _, p := range pairs {
		if v, err := e.Get(t.Context(), p.Key); err != nil || !bytes.Equal(v, p.Value) {
			t.Fatalf("%x: %x, %v", p.Key, v, err)
		}
	}
}

func TestFlippedTable(t *testing.T) {
	dir, pairs := stored(t)
	for _, path := range only(t, dir, ".sst") {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(content); i += stride(i, len(content)) {
			content[i] ^= 1 << (i % 8)
			refused(t, path, content)
			content[i] ^= 1 << (i % 8)
		}
		for _, n := range []int{0, 1, 3, 4, 7, 8, len(content) / 2, len(content) - 1} {
			refused(t, path, content[:n])
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	whole(t, dir, pairs)
}

// stride goes through a table in steps, and through its index byte by byte.
func stride(i, size int) int {
	if i > size-200 {
		return 1
	}
	return 97
}

func TestFlippedManifest(t *testing.T) {
	dir, pairs := stored(t)
	path := filepath.Join(dir, "MANIFEST")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(content) * 8 {
		content[i/8] ^= 1 << (i % 8)
		refused(t, path, content)
		content[i/8] ^= 1 << (i % 8)
	}
	for n := range 8 {
		refused(t, path, content[:n])
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	whole(t, dir, pairs)
}

func TestMissingFiles(t *testing.T) {
	dir, pairs := stored(t)
	for _, path := range append(only(t, dir, ".sst"), filepath.Join(dir, "MANIFEST")) {
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir)
		if !errors.Is(err, keystore.ErrCorrupt) || !strings.Contains(err.Error(), filepath.Base(path)) {
			t.Fatalf("%s: %v", path, err)
		}
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
	}
	whole(t, dir, pairs)
}

// A list that is cut within its last entry may be a torn write, so the store
// opens; but the tables that it does not list any more are kept for a repair.
func TestTornManifestKeepsTables(t *testing.T) {
	dir, _ := stored(t)
	tables := len(only(t, dir, ".sst"))
	path := filepath.Join(dir, "MANIFEST")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content[:len(content)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := Open(dir)
	if err != nil && !errors.Is(err, keystore.ErrCorrupt) {
		t.Fatal(err)
	}
	if err == nil {
		e.Close()
	}
	kept := len(only(t, dir, ".sst*"))
	if kept < tables {
		t.Errorf("%d of %d tables left", kept, tables)
	}
}

func TestUnbornFilesAreNoDamage(t *testing.T) {
	dir, pairs := stored(t)
	for _, name := range []string{"90001.mem", "000901.vlog", "DISCARD"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	whole(t, dir, pairs)
}

// Badger's remaining files hold no record: damage there is named, or changes
// nothing.
func TestFlippedSideFiles(t *testing.T) {
	dir, pairs := stored(t)
	logs := only(t, dir, ".vlog") // Badger removes all but the last by itself
	for _, path := range []string{logs[len(logs)-1], filepath.Join(dir, "KEYREGISTRY")} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range content {
			changed := bytes.Clone(content)
			changed[i] ^= 0x81
			if err := os.WriteFile(path, changed, 0o600); err != nil {
				t.Fatal(err)
			}
			e, err := Open(dir)
			if err != nil {
				if !errors.Is(err, keystore.ErrCorrupt) || !strings.Contains(err.Error(), filepath.Base(path)) {
					t.Fatalf("%s, byte %d: %v", path, i, err)
				}
				continue
			}
			for _, p := range pairs {
				if v, err := e.Get(t.Context(), p.Key); err != nil || !bytes.Equal(v, p.Value) {
					t.Errorf("%s, byte %d: %x, %v", path, i, v, err)
				}
			}
			if err := e.Close(); err != nil {
				t.Errorf("%s, byte %d: %v", path, i, err)
			}
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	whole(t, dir, pairs)
}
