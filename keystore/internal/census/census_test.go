package census_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"strongroom.example/internal/suite"
	"strongroom.example/keystore/internal/census"
	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/record"
	"strongroom.example/keystore/internal/recordtest"
)

// taken returns a census of records, by path and version.
func taken(t *testing.T, k *keyring.Keyring, records map[string]uint64) *census.Census {
	t.Helper()
	c := census.New(0)
	for path, version := range records {
		var part census.Part
		key, b := recordtest.Sealed(t, k, path, version)
		if err := part.Take(k, key, b); err != nil {
			t.Fatal(err)
		}
		c.Add(part)
	}
	return c
}

// TestAfter applies changes by After, and compares with a census that is taken of the result.
func TestAfter(t *testing.T) {
	k := recordtest.Keys(t, suite.AES)
	c := taken(t, k, map[string]uint64{"a/1": 1, "a/2": 1, "b/1": 2})
	want := maps.Clone(c.Entries)
	delete(want, "a/2")
	changes := map[string]census.Change{"a/2": {Deleted: true}}
	for path, version := range map[string]uint64{"b/1": 3, "c/1": 3} {
		_, b := recordtest.Sealed(t, k, path, version)
		want[path] = census.Entry{Version: version, Hash: k.Suite().Sum(b), Epoch: 1}
		changes[path] = census.Change{Entry: want[path]}
	}
	digest, count := c.After(k, changes)
	all := map[string]census.Change{}
	for path, e := range want {
		all[path] = census.Change{Entry: e}
	}
	if d, n := census.New(0).After(k, all); d != digest || n != count || n != 3 {
		t.Errorf("After: digest %x and %d records, want %x and %d", digest, count, d, n)
	}
	if got := c.Paths("a/"); !slices.Equal(got, []string{"a/1", "a/2"}) {
		t.Errorf("Paths: %q, want those of a/", got)
	}
}

// TestCompare finds a record that is missing, older or added, and names one that is added.
func TestCompare(t *testing.T) {
	k := recordtest.Keys(t, suite.AES)
	records := map[string]uint64{"a": 1, "b": 2, "c": 3}
	head := taken(t, k, records)
	compare := func(c *census.Census) error { return c.Compare(k, head.Digest, head.Count(), 3) }
	if err := compare(head); err != nil {
		t.Errorf("Compare with itself: %v", err)
	}
	for name, change := range map[string]struct {
		path    string
		version uint64 // 0: the record is missing
		text    string
	}{
		"missing":         {"b", 0, "2 records, the head counts 3"},
		"older":           {"b", 1, "not the one last written"},
		"of a later time": {"b", 4, `"b" does not belong`},
	} {
		c := census.New(0)
		maps.Copy(c.Entries, head.Entries)
		c.Digest = head.Digest
		changed := census.Change{Deleted: change.version == 0}
		if changed.Deleted {
			delete(c.Entries, change.path)
		} else {
			_, b := recordtest.Sealed(t, k, change.path, change.version)
			changed.Entry = census.Entry{Version: change.version, Hash: k.Suite().Sum(b), Epoch: 1}
			c.Entries[change.path] = changed.Entry
		}
		c.Digest, _ = head.After(k, map[string]census.Change{change.path: changed})
		if err := compare(c); !errors.Is(err, fault.ErrCorrupt) || !strings.Contains(fmt.Sprint(err), change.text) {
			t.Errorf("Compare with a record that is %s: %v, want ErrCorrupt that says %q", name, err, change.text)
		}
	}
	more := taken(t, k, map[string]uint64{"d": 1})
	for path, e := range head.Entries {
		more.Entries[path] = e
	}
	for i := range more.Digest {
		more.Digest[i] ^= head.Digest[i]
	}
	if err := compare(more); !errors.Is(err, fault.ErrCorrupt) || !strings.Contains(fmt.Sprint(err), `"d" does not belong`) {
		t.Errorf("Compare with one record more: %v, want ErrCorrupt that names it", err)
	}
}

// TestTakeRefuses gives Take records that are not at their place, or not mutable.
func TestTakeRefuses(t *testing.T) {
	k := recordtest.Keys(t, suite.AES)
	_, b := recordtest.Sealed(t, k, "a", 1)
	segment, err := record.Seal(nil, k, record.Plain{Class: keyring.Log, Key: record.Key(k, "a"), Path: "a"})
	if err != nil {
		t.Fatal(err)
	}
	other := []byte("r another key")
	moved, err := record.Seal(nil, k, record.Plain{Class: keyring.Meta, Key: other, Path: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]struct{ key, sealed []byte }{
		"of another key":   {record.Key(k, "b"), b},
		"sealed elsewhere": {other, moved},
		"a segment":        {record.Key(k, "a"), segment},
		"cut":              {record.Key(k, "a"), b[:len(b)-1]},
	} {
		var part census.Part
		if err := part.Take(k, r.key, r.sealed); !errors.Is(err, fault.ErrCorrupt) {
			t.Errorf("Take of a record %s: %v, want ErrCorrupt", name, err)
		}
	}
}
