package vault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// tampered is a vault of many keys, with an engine whose bytes a test can change.
type tampered struct {
	engine *storetest.Memory
	cfg    Config
	dir    string
	cts    [][]byte
}

const tamperKeys = 100

func newTampered(t *testing.T) (*tampered, *Vault) {
	t.Helper()
	x := &tampered{engine: storetest.NewMemory(), dir: filepath.Join(t.TempDir(), "v")}
	x.cfg.openEngine = func(dir string) (keystore.Engine, error) { return x.engine.Open(dir) }
	v, err := Create(t.Context(), x.dir, x.cfg, passphrase(t, "p"))
	if err != nil {
		t.Fatal(err)
	}
	c := v.As(DefaultOwner)
	for i := range tamperKeys {
		k := mustKey(t, c, KeyOptions{Alias: fmt.Sprintf("key-%d", i)})
		ct, err := c.Encrypt(t.Context(), k.ID, []byte("x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		x.cts = append(x.cts, ct)
	}
	return x, v
}

// open opens the vault, uses it and checks all of it, and returns the first error.
func (x *tampered) open(t *testing.T) error {
	t.Helper()
	v, err := Open(t.Context(), x.dir, x.cfg, passphrase(t, "p"))
	if err != nil {
		return err
	}
	defer v.Close()
	c := v.As(DefaultOwner)
	for r, err := range c.AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			return err
		}
		_ = r
	}
	for _, ct := range x.cts {
		if got, err := c.Decrypt(t.Context(), ct, nil); err != nil {
			return err
		} else if string(got) != "x" {
			t.Fatal("a wrong answer")
		}
	}
	return c.Check(t.Context())
}

// named reports whether err says that the store was changed or rolled back.
func named(err error) bool { return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrRolledBack) }

// TestStoredBytes changes, deletes, swaps and rolls back stored records of a closed vault:
// each change is detected and named.
func TestStoredBytes(t *testing.T) {
	t.Parallel()
	x, v := newTampered(t)
	old := x.engine.Snapshot()
	c := v.As(DefaultOwner)
	for i := range tamperKeys {
		if err := c.TagKey(t.Context(), fmt.Sprintf("key-%d", i), map[string]string{"a": "b"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	now := x.engine.Snapshot()
	if err := x.open(t); err != nil {
		t.Fatalf("Open of the unchanged vault: %v", err)
	}
	tip := readFiles(t, x.dir)
	again := func(name string, change func()) {
		x.engine.Restore(now)
		writeFiles(t, tip)
		change()
		if err := x.open(t); !named(err) {
			t.Errorf("Open after %s: %v, want ErrCorrupt or ErrRolledBack", name, err)
		}
	}
	keys := slices.Sorted(maps.Keys(now))
	for i, key := range keys {
		again(fmt.Sprintf("flip in %q", key), func() { x.engine.Change(key, flipped(now[key], i%len(now[key]))) })
		again(fmt.Sprintf("delete %q", key), func() { x.engine.Change(key, nil) })
		other := keys[(i+1)%len(keys)]
		again(fmt.Sprintf("swap %q", key), func() {
			x.engine.Change(key, now[other])
			x.engine.Change(other, now[key])
		})
		if older, had := old[key]; had && !bytes.Equal(older, now[key]) {
			again(fmt.Sprintf("older %q", key), func() { x.engine.Change(key, older) })
		}
	}
	again("all of it older", func() { x.engine.Restore(old) })
	x.engine.Restore(now)
	writeFiles(t, tip)
}

// TestStoredRecordsWhileOpen deletes, swaps and rolls back stored records of an open vault
// and reads them. The census detects an older record.
func TestStoredRecordsWhileOpen(t *testing.T) {
	t.Parallel()
	x, v := newTampered(t)
	defer v.Close()
	old := x.engine.Snapshot()
	for i := range tamperKeys {
		if err := v.As(DefaultOwner).TagKey(t.Context(), fmt.Sprintf("key-%d", i), map[string]string{"a": "b"}); err != nil {
			t.Fatal(err)
		}
	}
	now, paths, aged := x.engine.Snapshot(), v.store.Paths(""), 0
	keys := slices.Sorted(maps.Keys(now))
	for i, key := range keys {
		if key[0] != 'r' {
			continue // head and log; see TestEveryStoredByte
		}
		path := x.pathOf(t, v, key, paths)
		changes := map[string][]byte{"deleted": nil, "swapped": now[keys[(i+1)%len(keys)]]}
		if older, had := old[key]; had && !bytes.Equal(older, now[key]) {
			changes["older"] = older
			aged++
		}
		for what, value := range changes {
			x.engine.Change(key, value)
			if _, err := v.store.Get(t.Context(), path); !errors.Is(err, keystore.ErrCorrupt) {
				t.Errorf("Get of %q after %s: %v, want ErrCorrupt", path, what, err)
			}
		}
		x.engine.Change(key, now[key])
	}
	if aged < tamperKeys {
		t.Errorf("%d records were older", aged)
	}
}

// TestEveryStoredByte flips every byte of every stored record of an open vault, and reads
// that record.
func TestEveryStoredByte(t *testing.T) {
	t.Parallel()
	x, v := newTampered(t)
	defer v.Close()
	paths := v.store.Paths("")
	flips := 0
	for key, value := range x.engine.Snapshot() {
		var read func() error
		switch key[0] {
		case 'h':
			// The head is read at open; TestEveryFlipIsFound of package keystore tries each of
			// its bytes.
			read = func() error { return v.store.Check(t.Context()) }
		case 'a':
			seq := binary.BigEndian.Uint64([]byte(key[1:]))
			read = func() error { _, err := v.store.LogRecord(t.Context(), seq); return err }
		default:
			path := x.pathOf(t, v, key, paths)
			read = func() error { _, err := v.store.Get(t.Context(), path); return err }
		}
		for at := range value {
			flips++
			x.engine.Change(key, flipped(value, at))
			if err := read(); !errors.Is(err, keystore.ErrCorrupt) {
				t.Fatalf("byte %d of %q changed: %v, want ErrCorrupt", at, key, err)
			}
		}
		x.engine.Change(key, value)
	}
	t.Logf("%d flips, all named", flips)
}

// pathOf finds the path of a stored pair, whose key is a hash of the path, by removing the
// pair.
func (x *tampered) pathOf(t *testing.T, v *Vault, key string, paths []string) string {
	t.Helper()
	value := x.engine.Snapshot()[key]
	x.engine.Change(key, nil)
	defer x.engine.Change(key, value)
	for _, path := range paths {
		if _, err := v.store.Get(t.Context(), path); err != nil {
			return path
		}
	}
	t.Fatalf("no read uses %q", key)
	return ""
}

func flipped(b []byte, at int) []byte {
	out := bytes.Clone(b)
	out[at] ^= 1
	return out
}
