package badger

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/keystore"
)

// TestTrimFreesTheDisk: a log of which the first nine tenths are removed takes a tenth of
// the disk space, and the records that change in place stay.
func TestTrimFreesTheDisk(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	value := bytes.Repeat([]byte("v"), 32<<10)
	const segments = 1000
	for i := range segments {
		b := keystore.Batch{Put: []keystore.Pair{{Key: fmt.Appendf(nil, "a%08d", i), Value: value}, {Key: []byte("h"), Value: fmt.Appendf(nil, "%d", i)}}}
		if i%10 == 0 {
			b.Put = append(b.Put, keystore.Pair{Key: fmt.Appendf(nil, "r%08d", i), Value: []byte("record")})
		}
		if err := e.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	before := tableBytes(t, dir)
	if err := e.Trim(t.Context(), fmt.Appendf(nil, "a%08d", segments*9/10)); err != nil {
		t.Fatal(err)
	}
	after := tableBytes(t, dir)
	t.Logf("tables: %d bytes before, %d after", before, after)
	if after > before/5 {
		t.Errorf("the tables have %d bytes after Trim, and had %d", after, before)
	}
	for _, row := range []struct {
		prefix string
		n      int
	}{{"a", segments / 10}, {"r", segments / 10}, {"h", 1}} {
		pairs, err := e.Scan(t.Context(), []byte(row.prefix), nil, segments)
		if err != nil || len(pairs) != row.n {
			t.Errorf("%d keys with %s after Trim, %v, want %d", len(pairs), row.prefix, err, row.n)
		}
	}
}

func tableBytes(t *testing.T, dir string) (n int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}
