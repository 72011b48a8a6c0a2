package vault

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/suite"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
	"strongroom.example/vault/internal/rootunlock"
)

// fakeSealingTPM is a protector like a TPM with a PCR policy: its blob names the device and
// the state in which it was sealed, and is bound to the vault.
type fakeSealingTPM struct{ device, state string }

func (*fakeSealingTPM) Kind() string       { return "chip" }
func (*fakeSealingTPM) MachineBound() bool { return true }

func (c *fakeSealingTPM) Protect(_ context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	blob := slices.Concat([]byte(c.device), []byte(c.state), b.VaultID[:])
	for _, r := range root {
		blob = append(blob, r^0x5c) // no secrecy is needed in a test
	}
	return blob, nil
}

func (c *fakeSealingTPM) Recover(_ context.Context, dst []byte, b driver.Binding, blob driver.Blob) ([]byte, error) {
	if !bytes.HasPrefix(blob, []byte(c.device)) {
		return nil, &driver.Error{Op: "Recover", Class: driver.Denied, Err: driver.ErrWrongDevice}
	}
	sealed, ok := bytes.CutPrefix(blob, slices.Concat([]byte(c.device), []byte(c.state), b.VaultID[:]))
	if !ok || len(sealed) != rootunlock.RootSize {
		return nil, &driver.Error{Op: "Recover", Class: driver.Denied}
	}
	for _, r := range sealed {
		dst = append(dst, r^0x5c)
	}
	return dst, nil
}

// A twinVault is a closed vault with an engine in memory, whose directory and engine can be
// restored to a saved state.
type twinVault struct {
	engine                     *storetest.Memory
	cfg                        Config
	dir                        string
	chip, pass, code, file     driver.Protector
	pairs                      map[string][]byte
	files                      map[string][]byte
	root                       []byte // the present one
	beforeChange, beforeRotate []byte // earlier root files
}

// newTwinVault makes a vault that once had another protector, "removed", and before that
// another root.
func newTwinVault(t *testing.T) *twinVault {
	t.Helper()
	x := &twinVault{engine: storetest.NewMemory(), cfg: testConfig(), dir: filepath.Join(t.TempDir(), "v")}
	x.cfg.openEngine = func(dir string) (keystore.Engine, error) { return x.engine.Open(dir) }
	path := filepath.Join(t.TempDir(), "key")
	code, err := soft.NewRecoveryCode()
	if err := errors.Join(err, soft.CreateKeyFile(path)); err != nil {
		t.Fatal(err)
	}
	x.chip, x.pass, x.code, x.file = &fakeSealingTPM{"device.", "good."}, passphrase(t, "p"), code, soft.KeyFile(path)
	v, err := Create(t.Context(), x.dir, x.cfg, x.all()...)
	if err != nil {
		t.Fatal(err)
	}
	c := v.As(DefaultOwner)
	mustKey(t, c, KeyOptions{Alias: "a"})
	x.beforeRotate = x.read(t, "root")
	if err := c.RotateRoot(t.Context(), append(x.all(), passphrase(t, "removed"))...); err != nil {
		t.Fatal(err)
	}
	x.beforeChange = x.read(t, "root")
	list := v.store.Root().Protectors
	if err := c.RemoveProtector(t.Context(), list[len(list)-1].ID); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	x.keep(t)
	return x
}

func (x *twinVault) all() []driver.Protector {
	return []driver.Protector{x.chip, x.pass, x.code, x.file}
}

func (x *twinVault) read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(x.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// keep saves the present state as the one that restore restores.
func (x *twinVault) keep(t *testing.T) {
	x.pairs, x.files, x.root = x.engine.Snapshot(), readFiles(t, x.dir), x.read(t, "root")
}

// restore restores the saved state and writes the given files; nil removes a file.
func (x *twinVault) restore(t *testing.T, files map[string][]byte) {
	t.Helper()
	x.engine.Restore(x.pairs)
	os.Remove(filepath.Join(x.dir, "root.next"))
	writeFiles(t, x.files)
	for name, b := range files {
		path := filepath.Join(x.dir, name)
		err := os.Remove(path)
		if b != nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// An observation holds what a caller sees of an Open.
type observation struct {
	Error      string // class of the error
	By         string // entry that opened
	Protectors []keystore.Protector
	Reprotect  int // number of protectors that were re-sealed
}

// open opens the vault and returns what it observed, and the recorded fault of each root
// file that Open replaced or removed.
func (x *twinVault) open(t *testing.T, protectors ...driver.Protector) (observation, map[string]string, error) {
	t.Helper()
	v, err := Open(t.Context(), x.dir, x.cfg, protectors...)
	if err != nil {
		return observation{Error: errorName(err)}, nil, err
	}
	defer closeChecked(t, v)
	var seen observation
	healed := map[string]string{}
	for r, err := range v.As(DefaultOwner).AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		switch Operation(r.Operation) {
		case OpOpenVault:
			seen.By = r.Detail["protector"]
		case OpHealProtector:
			seen.Reprotect++
		case OpHealRootFile:
			healed[r.Detail["file"]] = r.Detail["fault"]
		}
	}
	seen.Protectors = v.store.Root().Protectors
	if seen.Reprotect > 0 {
		seen.Protectors = nil // random, because they were re-sealed
	}
	for _, name := range []string{"root", "root.copy"} {
		if b := x.read(t, name); seen.Reprotect == 0 && !bytes.Equal(b, x.root) {
			t.Errorf("Open did not restore %s", name)
		}
	}
	return seen, healed, nil
}

// A rootField is a field of a root file, according to docs/formats.md.
type rootField struct {
	name     string
	at, size int
}

// rootFields splits a root file into its fields.
func rootFields(b []byte) (fields []rootField) {
	at := 0
	take := func(name string, size int) []byte {
		fields = append(fields, rootField{name, at, size})
		at += size
		return b[at-size : at]
	}
	take("magic", 6)
	take("format", 1)
	take("suite", 1)
	take("edition", 1)
	take("vault id", 16)
	take("generation", 8)
	take("created", 8)
	n := int(binary.BigEndian.Uint16(take("protectors", 2)))
	for i := range n {
		named := func(s string) string { return fmt.Sprintf("protector %d's %s", i, s) }
		for _, s := range []string{"id", "name", "kind"} {
			size := binary.BigEndian.Uint16(take(named(s+" length"), 2))
			take(named(s), int(size))
		}
		take(named("machine bound"), 1)
		take(named("created"), 8)
		size := binary.BigEndian.Uint32(take(named("blob length"), 4))
		take(named("blob"), int(size))
	}
	size := binary.BigEndian.Uint32(take("keyring length", 4))
	take("keyring", int(size))
	take("MAC", 32)
	take("hash", 32)
	return fields
}

// rehash corrects the unkeyed hash of a root file, as any attacker can.
func rehash(b []byte) []byte {
	id := suite.ID(b[7])
	if !id.Valid() {
		id = suite.AES
	}
	sum := id.Hash(b[:len(b)-32])
	return append(b[:len(b)-32:len(b)-32], sum[:]...)
}

// resum corrects the unkeyed checksum of every blob of package soft in a root file, and
// then the file's hash.
func resum(b []byte) []byte {
	var vaultID []byte
	for _, f := range rootFields(b) {
		field := b[f.at : f.at+f.size]
		if f.name == "vault id" {
			vaultID = field
		}
		if !bytes.HasPrefix(field, []byte("SRP\x01")) || len(field) < 55 {
			continue
		}
		id := suite.ID(b[7])
		sum := id.Hash([]byte("strongroom protector"), slices.Concat(field[:47], vaultID, b[8:9]))
		copy(field[47:55], sum[:8])
	}
	return rehash(b)
}

// changes returns root files that differ from b in one field each. The unkeyed checksums
// are corrected, unless the field is one itself.
func changes(b []byte) map[string][]byte {
	out := map[string][]byte{}
	for _, f := range rootFields(b) {
		for _, at := range slices.Compact([]int{f.at, f.at + f.size/2, f.at + f.size - 1}) {
			if f.size == 0 {
				continue
			}
			for _, bit := range []byte{1, 0x80} {
				changed := bytes.Clone(b)
				changed[at] ^= bit
				name := fmt.Sprintf("%s, byte %d ^ %x", f.name, at-f.at, bit)
				out[name] = changed
				if f.name != "hash" {
					out[name] = rehash(changed)
				}
				if f.size > 55 && at == f.at+f.size/2 || f.name == "vault id" || f.name == "edition" {
					out[name+", resummed"] = resum(bytes.Clone(changed))
				}
			}
		}
	}
	return out
}

// TestChangedTwin changes every field of root, of root.copy and of a leftover root.next,
// with corrected unkeyed checksums, and opens with each kind of protector. Open does what
// it does with the other file alone, and records the change.
func TestChangedTwin(t *testing.T) {
	t.Parallel()
	x := newTwinVault(t)
	ways := map[string][]driver.Protector{
		"passphrase": {x.pass}, "recovery code": {x.code}, "key file": {x.file}, "chip": {x.chip},
		"chip in another state, recovery code": {&fakeSealingTPM{"device.", "evil."}, x.code},
		"another chip, recovery code":          {&fakeSealingTPM{"other..", "evil."}, x.code},
		"wrong":                                {passphrase(t, "wrong"), &fakeSealingTPM{"other..", "good."}},
		"removed":                              {passphrase(t, "removed")},
	}
	all := changes(x.root)
	every := len(ways) // each change with one of the ways
	if os.Getenv("STRONGROOM_EVERY_FIELD") != "" {
		every = 1
	}
	names := slices.Sorted(maps.Keys(all))
	for w, way := range slices.Sorted(maps.Keys(ways)) {
		for file, twin := range map[string]string{"root": "root.copy", "root.copy": "root", "root.next": ""} {
			x.restore(t, nil)
			if twin != "" {
				x.restore(t, map[string][]byte{file: nil})
			}
			want, healed, _ := x.open(t, ways[way]...)
			if want.Error == "" && twin != "" && healed[file] != keystore.FaultMissing {
				t.Errorf("%s, without %s: the recorded faults are %v", way, file, healed)
			}
			for i, name := range names {
				if (i+w)%every != 0 && !strings.HasPrefix(name, "protector 0's blob,") {
					continue // the device's blob is changed for every way
				}
				x.restore(t, map[string][]byte{file: all[name]})
				got, healed, err := x.open(t, ways[way]...)
				if !reflect.DeepEqual(got, want) {
					t.Errorf("by %s, %s with another %s: %+v (%v), want %+v as with its twin alone", way, file, name, got, err, want)
				}
				if err == nil && healed[file] == "" {
					t.Errorf("by %s, %s with another %s: its replacement is not recorded", way, file, name)
				}
			}
		}
	}
}

// TestTwinOfAnotherTime replaces one copy of the root file by a file that was in force
// earlier, or that is another vault's, in both orders.
func TestTwinOfAnotherTime(t *testing.T) {
	t.Parallel()
	x, other := newTwinVault(t), newTwinVault(t)
	exchanged := bytes.Clone(x.root)
	var ids []rootField
	for _, f := range rootFields(exchanged) {
		if f.size == 16 && f.name != "vault id" {
			ids = append(ids, f)
		}
	}
	copy(exchanged[ids[1].at:], x.root[ids[2].at:ids[2].at+16])
	copy(exchanged[ids[2].at:], x.root[ids[1].at:ids[1].at+16])
	for name, row := range map[string]struct {
		file  []byte
		fault string
	}{
		"from before a RemoveProtector": {x.beforeChange, keystore.FaultOlder},
		"from before a RotateRoot":      {x.beforeRotate, keystore.FaultOlder},
		"another vault's":               {other.root, keystore.FaultOtherStore},
		"with ids exchanged":            {rehash(exchanged), keystore.FaultNotAuthentic},
		"cut":                           {x.root[:len(x.root)-1], keystore.FaultDamaged},
		"empty":                         {[]byte{}, keystore.FaultDamaged},
	} {
		for _, file := range []string{"root", "root.copy"} {
			for way, p := range map[string]driver.Protector{"passphrase": x.pass, "code": x.code, "chip": x.chip, "removed": passphrase(t, "removed")} {
				x.restore(t, map[string][]byte{file: nil})
				want, _, _ := x.open(t, p)
				if (want.Error == "UNLOCK") != (way == "removed") {
					t.Fatalf("by %s without %s: %+v", way, file, want)
				}
				x.restore(t, map[string][]byte{file: row.file})
				got, healed, err := x.open(t, p)
				if !reflect.DeepEqual(got, want) {
					t.Errorf("by %s, %s %s: %+v (%v), want %+v", way, file, name, got, err, want)
				}
				// Without a root that a protector gave, an authentic file cannot be
				// distinguished from a forged one.
				if fault := healed[file]; err == nil && fault != row.fault && fault != keystore.FaultNotAuthentic {
					t.Errorf("by %s, %s %s: the fault on record is %q, want %q", way, file, name, fault, row.fault)
				}
			}
		}
	}
}

// TestOnlyOldRootFiles: without a current root file the error of Open names the remedy, and
// Open changes nothing.
func TestOnlyOldRootFiles(t *testing.T) {
	t.Parallel()
	x := newTwinVault(t)
	for name, old := range map[string][]byte{"RemoveProtector": x.beforeChange, "RotateRoot": x.beforeRotate} {
		x.restore(t, map[string][]byte{"root": old, "root.copy": old})
		before := digests(t, x.dir)
		_, _, err := x.open(t, x.pass)
		if !errors.Is(err, ErrRolledBack) || !bytes.Contains([]byte(err.Error()), []byte("put one back from a copy of the directory that was made since")) {
			t.Errorf("both from before a %s: %v, want %v that says what helps", name, err, ErrRolledBack)
		}
		if !maps.Equal(before, digests(t, x.dir)) {
			t.Errorf("both files from before a %s: a file was changed", name)
		}
	}
}

// TestNewerCopyBesideOlderStore: a store, tip and one root file of an earlier time do not
// open beside a newer root file.
func TestNewerCopyBesideOlderStore(t *testing.T) {
	t.Parallel()
	x := newTwinVault(t)
	old := *x
	v, err := Open(t.Context(), x.dir, x.cfg, x.pass)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.As(DefaultOwner).AddProtector(t.Context(), x.pass, passphrase(t, "new")); err != nil {
		t.Fatal(err)
	}
	closeChecked(t, v)
	newer := map[string][]byte{"AddProtector": x.read(t, "root")}
	if v, err = Open(t.Context(), x.dir, x.cfg, x.pass); err != nil {
		t.Fatal(err)
	}
	if err := v.As(DefaultOwner).RotateRoot(t.Context(), x.pass, passphrase(t, "new")); err != nil {
		t.Fatal(err)
	}
	closeChecked(t, v)
	newer["RotateRoot"] = x.read(t, "root")
	for after, b := range newer {
		for _, file := range []string{"root", "root.copy"} {
			old.restore(t, map[string][]byte{file: b})
			if _, _, err := old.open(t, x.pass); !errors.Is(err, ErrRolledBack) {
				t.Errorf("%s of after a %s: %v, want %v", file, after, err, ErrRolledBack)
			}
			if !bytes.Equal(old.read(t, file), b) {
				t.Errorf("%s from after a %s was overwritten", file, after)
			}
		}
	}
}

// TestInterruptedRotateRoot: a RotateRoot that a crash interrupted is completed if a protector
// opens the new root. Otherwise it is rolled back, and that is recorded. The result does
// not depend on which file a protector opens first.
func TestInterruptedRotateRoot(t *testing.T) {
	t.Parallel()
	x := newTwinVault(t)
	old := x.root
	x.cut(t, func(c Client) error { return c.RotateRoot(t.Context(), x.pass, passphrase(t, "new")) })
	next := x.root
	for step, files := range map[string]map[string][]byte{
		"announced":     {"root": old, "root.copy": old, "root.next": next},
		"root in place": {"root": next, "root.copy": old, "root.next": next},
		"root aside":    {"root": nil, "root.copy": old, "root.next": next},
	} {
		for way, row := range map[string]struct {
			protector driver.Protector
			n         int
		}{
			"passphrase of both": {x.pass, 2}, "new passphrase": {passphrase(t, "new"), 2}, "code of the former root": {x.code, 4},
		} {
			x.restore(t, files)
			v, err := Open(t.Context(), x.dir, x.cfg, row.protector)
			if err != nil {
				t.Errorf("Open, %s, by %s: %v", step, way, err)
				continue
			}
			if n := len(v.store.Root().Protectors); n != row.n {
				t.Errorf("%s, by %s: %d protectors, want %d", step, way, n, row.n)
			}
			abandoned := lastRecord(t, v.As(DefaultOwner), OpHealRootFile).Detail["fault"] == keystore.FaultAbandoned
			if abandoned != (row.n == 4) {
				t.Errorf("%s, by %s: the rollback is recorded: %v, want %v", step, way, abandoned, row.n == 4)
			}
			closeChecked(t, v)
		}
	}
}

// TestWorkBeforeAuthentication: a forged root file that demands more than a day of work
// does not keep Open from returning when its context ends, nor from using an intact copy.
func TestWorkBeforeAuthentication(t *testing.T) {
	t.Parallel()
	x := newTwinVault(t)
	greedy := x.greedy(t)
	for _, file := range []string{"root", "root.copy"} {
		x.restore(t, map[string][]byte{file: greedy})
		start := time.Now()
		got, healed, err := x.open(t, x.pass)
		if err != nil || healed[file] != keystore.FaultNotAuthentic {
			t.Errorf("%s demands much work: Open: %+v, replaced %v, error %v", file, got, healed, err)
		}
		t.Logf("Open with an expensive %s took %v", file, time.Since(start))
	}
	x.restore(t, map[string][]byte{"root": greedy, "root.copy": greedy})
	x.cfg.UnlockWork = 500 // enough for one entry
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	t.Cleanup(func() { abandonedWorkEnds(t) })
	start := time.Now()
	if _, err := Open(ctx, x.dir, x.cfg, x.pass); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open with two expensive root files: %v, want %v", err, context.DeadlineExceeded)
	}
	t.Logf("Open with two expensive root files and a deadline of 20 ms took %v", time.Since(start))
	x.cfg.UnlockWork = 1
	if _, err := Open(t.Context(), x.dir, x.cfg, x.pass); !errors.Is(err, ErrUnlock) {
		t.Errorf("Open with two root files beyond UnlockWork: %v, want %v", err, ErrUnlock)
	}
}

// abandonedWorkEnds waits for computations that continue after their context ended.
func abandonedWorkEnds(t *testing.T) {
	stacks := make([]byte, 1<<20)
	poll.Until(t, "no passphrase is stretched after its context ended", func() bool {
		return !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("soft.stretch("))
	})
}

// greedy returns the present root file with 64 passphrase entries that each demand much
// work, but little enough that the test does not wait long for one.
func (x *twinVault) greedy(t *testing.T) []byte {
	t.Helper()
	fields := rootFields(x.root)
	first := slices.IndexFunc(fields, func(f rootField) bool { return f.name == "protector 1's id length" })
	last := slices.IndexFunc(fields, func(f rootField) bool { return f.name == "protector 1's blob" })
	blob := fields[last]
	entry := bytes.Clone(x.root[fields[first].at : blob.at+blob.size])
	header := entry[len(entry)-blob.size:]
	if header[6] == 1 {
		binary.BigEndian.PutUint32(header[7:], 16)
		binary.BigEndian.PutUint32(header[11:], 24<<10)
	} else {
		binary.BigEndian.PutUint32(header[7:], 1_000_000)
	}
	out := bytes.Clone(x.root[:43])
	binary.BigEndian.PutUint16(out[41:], 64)
	for i := range 64 {
		header[20] = byte(i) // salt
		out = append(out, entry...)
	}
	keyring := slices.IndexFunc(fields, func(f rootField) bool { return f.name == "keyring length" })
	return resum(append(out, x.root[fields[keyring].at:]...))
}

// TestChangedFileDuringReplacement changes each file of an interrupted root file
// replacement, at each of its steps. If at least one file is unchanged, the vault opens
// with the new root file. Otherwise it opens with the old one, and that is recorded.
func TestChangedFileDuringReplacement(t *testing.T) {
	t.Parallel()
	x := newTwinVault(t)
	old := x.root
	x.cut(t, func(c Client) error {
		return second(c.AddProtector(t.Context(), x.pass, passphrase(t, "new")))
	})
	next := x.root
	for step, files := range map[string]map[string][]byte{
		"announced":            {"root": old, "root.copy": old, "root.next": next},
		"root aside":           {"root": nil, "root.copy": old, "root.next": next},
		"root in place":        {"root": next, "root.copy": old, "root.next": next},
		"root.copy aside":      {"root": next, "root.copy": nil, "root.next": next},
		"both copies in place": {"root": next, "root.copy": next, "root.next": next},
	} {
		x.root = next
		x.restore(t, files)
		want, healed, err := x.open(t, x.pass)
		if err != nil || len(healed) > 0 || len(want.Protectors) != 5 {
			t.Fatalf("%s: %v, healed %v, %d protectors; want 5 and nothing healed", step, err, healed, len(want.Protectors))
		}
		for changed, was := range files {
			if was == nil {
				continue
			}
			left := maps.Clone(files)
			delete(left, changed)
			isNext := func(b []byte) bool { return bytes.Equal(b, next) }
			found := slices.ContainsFunc(slices.Collect(maps.Values(left)), isNext)
			if x.root = next; !found {
				x.root = old
			}
			for name, b := range changes(was) {
				if !strings.Contains(name, "^ 1") || !strings.Contains(name, "byte 0") {
					continue
				}
				left[changed] = b
				x.restore(t, left)
				got, healed, err := x.open(t, x.pass)
				if err != nil || healed[changed] == "" || (len(got.Protectors) == 5) != found {
					t.Errorf("%s, %s with another %s: %v, healed %v, %d protectors", step, changed, name, err, healed, len(got.Protectors))
				}
			}
		}
	}
}

// cut changes the protectors and saves the state before the commit that completes the
// replacement of the root file.
func (x *twinVault) cut(t *testing.T, change func(Client) error) {
	t.Helper()
	v, err := Open(t.Context(), x.dir, x.cfg, x.pass)
	if err != nil {
		t.Fatal(err)
	}
	present := x.root
	x.engine.Fault(func(keystore.Batch) error {
		if b := x.read(t, "root.copy"); !bytes.Equal(b, present) {
			x.keep(t)
			x.engine.Fault(nil)
		}
		return nil
	})
	if err := change(v.As(DefaultOwner)); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(x.root, present) {
		t.Fatal("the replacement was not interrupted")
	}
}
