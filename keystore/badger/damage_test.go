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
		must(t, e.Commit(t.Context(), b))
		must(t, e.(*engine).turn())
		must(t, e.Close())
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
	t.Parallel()
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
	t.Parallel()
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
	for n := range content {
		if n != 8 { // an empty list: the log tells
			refused(t, path, content[:n])
		}
	}
	must(t, os.WriteFile(path, content[:8], 0o600))
	if _, err := Open(dir); !errors.Is(err, keystore.ErrRolledBack) {
		t.Errorf("Open with an empty list: %v, want ErrRolledBack", err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	whole(t, dir, pairs)
}

func TestMissingFiles(t *testing.T) {
	t.Parallel()
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

// TestDamageUnderAnOpenStore changes and cuts tables while the store is open: reading
// returns an error or what was written, and the process lives.
func TestDamageUnderAnOpenStore(t *testing.T) {
	t.Parallel()
	dir, pairs := stored(t)
	for _, path := range only(t, dir, ".sst") {
		content, err := os.ReadFile(path)
		must(t, err)
		for i := range 60 {
			at := len(content) * i / 60
			if i >= 30 { // the index
				at = len(content) - 1 - (i-30)*11
			}
			e, err := Open(dir)
			must(t, err)
			overwriteAt(t, path, int64(at), []byte{content[at] ^ 1<<(i%8)})
			if i%20 == 19 {
				must(t, os.Truncate(path, int64(at)/2))
			}
			for _, p := range pairs {
				v, err := e.Get(t.Context(), p.Key)
				if err == nil && len(v) != len(p.Value) {
					t.Errorf("Get over a changed table: %d bytes, want %d or an error", len(v), len(p.Value))
				}
			}
			if _, err := e.Scan(t.Context(), nil, nil, 1000); err != nil && !errors.Is(err, keystore.ErrCorrupt) {
				t.Errorf("Scan over a changed table: %v, want ErrCorrupt or nil", err)
			}
			must(t, e.Close())
			must(t, os.WriteFile(path, content, 0o600))
		}
	}
	whole(t, dir, pairs)
}

// overwriteAt changes bytes of a file in place.
func overwriteAt(t *testing.T, path string, at int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(b, at)
	must(t, errors.Join(err, f.Close()))
}

// TestLeftovers: what a flush or a merge leaves that was cut short is removed, and is no
// damage.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	dir, pairs := stored(t)
	table, err := os.ReadFile(only(t, dir, ".sst")[0])
	must(t, err)
	for name, content := range map[string][]byte{
		"009001.sst": nil, "009002.sst": table, manifestNew: []byte("Bdgr"), "epoch.new": make([]byte, 8192), "DISCARD": nil, "LOCK": []byte("1"),
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	whole(t, dir, pairs)
	for _, name := range []string{"009001.sst", "009002.sst", manifestNew, "epoch.new", "DISCARD", "LOCK"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was left", name)
		}
	}
}
