package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/internal/suite"
	"strongroom.example/keystore/internal/directory"
	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/journal"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/recordtest"
)

const name = "journal"

// entries is the number of entries of a test's journal. Entry n puts record n and deletes
// record n-2.
const entries = 5

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// written returns a directory with a journal, its key, and the ends after each entry.
func written(t *testing.T) (*directory.Dir, *keyring.Keyring, []journal.End) {
	t.Helper()
	k := recordtest.Keys(t, suite.AES)
	d, err := directory.Open(t.TempDir())
	must(t, err)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	j, err := journal.Create(d, name, k)
	must(t, err)
	ends := []journal.End{j.End()}
	for n := 1; n <= entries; n++ {
		next, err := j.Prepare(k, journal.Entry{
			Generation: uint64(n),
			Put:        []journal.Pair{{Key: key(n), Value: value(n)}},
			Deleted:    [][]byte{key(n - 2)},
			Head:       fmt.Appendf(nil, "head %d", n),
		})
		must(t, err)
		must(t, j.Append(next))
		ends = append(ends, next)
	}
	must(t, j.Close())
	return d, k, ends
}

func key(n int) []byte   { return fmt.Appendf(nil, "record %d", n) }
func value(n int) []byte { return bytes.Repeat([]byte{byte(n)}, 100) }

// TestScan reads the journal as it was written, and with one damaged entry, which is passed
// over unless it is the last.
func TestScan(t *testing.T) {
	d, k, ends := written(t)
	whole, err := d.Read(name)
	must(t, err)
	for damaged := 0; damaged <= entries; damaged++ {
		b, last := bytes.Clone(whole), entries
		if damaged > 0 {
			b[ends[damaged].Offset-40] ^= 1
		}
		if damaged == entries {
			last--
		}
		heads := ""
		s := journal.Scan(k, b, func(head []byte) { heads = string(head) })
		want := map[string][]byte{}
		for n := 1; n <= last; n++ {
			if n != damaged {
				want[string(key(n))] = value(n)
				delete(want, string(key(n-2)))
			}
		}
		if s.Whole != (damaged == 0 || damaged == entries) || s.End != ends[last] || heads != fmt.Sprintf("head %d", last) {
			t.Errorf("entry %d damaged: whole %v, end %+v, newest %q; want the end %+v", damaged, s.Whole, s.End, heads, ends[last])
		}
		if !maps.EqualFunc(s.Records, want, bytes.Equal) {
			t.Errorf("entry %d damaged: records %q, want %q", damaged, s.Records, want)
		}
		if damaged != 4 && s.Deleted[string(key(2))] != 4 {
			t.Errorf("entry %d damaged: record 2 is deleted at generation %d, want 4", damaged, s.Deleted[string(key(2))])
		}
	}
}

// TestReader verifies the journal up to an end that it has, and refuses other ends and damage.
func TestReader(t *testing.T) {
	d, k, ends := written(t)
	withKeys := func(f func(*keyring.Keyring)) error { f(k); return nil }
	finish := func(end journal.End) error {
		x, err := journal.NewReader(d, name, k)
		if err != nil {
			return err
		}
		defer x.Close()
		if err := x.Finish(t.Context(), end, withKeys); err != nil {
			return err
		}
		if _, ok := x.Hashes[string(key(entries))]; !ok || len(x.Hashes) != 2 {
			t.Errorf("the journal has %d records, want the newest and the one before it", len(x.Hashes))
		}
		return nil
	}
	must(t, finish(ends[entries]))
	other := ends[entries]
	other.Chain[0] ^= 1
	if err := finish(other); !errors.Is(err, fault.ErrCorrupt) {
		t.Errorf("Finish at another end: %v, want ErrCorrupt", err)
	}
	path := filepath.Join(d.Path(), name)
	whole, err := os.ReadFile(path)
	must(t, err)
	for _, at := range []uint64{0, 10, ends[0].Offset, ends[2].Offset + 30, ends[entries].Offset - 1} {
		b := bytes.Clone(whole)
		b[at] ^= 1
		must(t, os.WriteFile(path, b, 0o600))
		if err := finish(ends[entries]); !errors.Is(err, fault.ErrCorrupt) {
			t.Errorf("Finish with byte %d changed: %v, want ErrCorrupt", at, err)
		}
	}
	must(t, os.Remove(path))
	if err := finish(ends[entries]); !errors.Is(err, fault.ErrCorrupt) {
		t.Errorf("Finish of a missing journal: %v, want ErrCorrupt", err)
	}
}

// TestHasEnd continues a journal at its end, and finds an end that is not in the file and
// entries that follow.
func TestHasEnd(t *testing.T) {
	d, k, ends := written(t)
	for n, end := range ends {
		j, err := journal.Open(d, name, end)
		must(t, err)
		has, err := j.HasEnd()
		must(t, err)
		more, err := j.HasMore(k)
		must(t, err)
		if !has || more != (n < entries) {
			t.Errorf("after entry %d of %d: has the end %v, more %v", n, entries, has, more)
		}
		must(t, j.Close())
	}
	for _, end := range []journal.End{{}, {Offset: ends[1].Offset}, {Offset: 1 << 40}} {
		j, err := journal.Open(d, name, end)
		must(t, err)
		if has, err := j.HasEnd(); has || err != nil {
			t.Errorf("the end %+v: %v, %v, want false", end, has, err)
		}
		must(t, j.Close())
	}
}
