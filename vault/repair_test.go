package vault

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/testing/heavy"
	"strongroom.example/keystore"
)

// wornVault is a closed vault with tables and a turned redo log, and its files.
type wornVault struct {
	files directory
	older directory         // of an earlier moment
	keys  map[string]Key    // by alias
	cts   map[string][]byte // a ciphertext of each key
	vkey  string
}

func newWornVault(t *testing.T) *wornVault {
	t.Helper()
	v, dir := newTestVault(t, Config{})
	c := v.As(DefaultOwner)
	x := &wornVault{keys: map[string]Key{}, cts: map[string][]byte{}, vkey: v.LogKey()}
	many := map[string]string{}
	for i := range 40 {
		many[fmt.Sprint("tag ", i)] = strings.Repeat("x", 250)
	}
	for i := range 6 {
		if i == 4 {
			closeChecked(t, v)
			x.older = readDirectory(t, dir)
			var err error
			v, err = Open(t.Context(), dir, Config{}, passphrase(t, "correct horse"))
			must(t, err)
			c = v.As(DefaultOwner)
		}
		alias := fmt.Sprint("key-", i)
		k := mustKey(t, c, KeyOptions{Alias: alias})
		for n := range 80 {
			many["tag 0"] = fmt.Sprint(n)
			must(t, c.TagKey(t.Context(), alias, many))
		}
		ct, err := c.Encrypt(t.Context(), k.ID, []byte(alias), nil)
		must(t, err)
		x.cts[alias] = ct
	}
	must(t, errors.Join(c.DisableKeys(t.Context(), "key-1"), c.AddAlias(t.Context(), "key-2", "key-2-other")))
	_, err := c.AddProtector(t.Context(), passphrase(t, "correct horse"), passphrase(t, "second"))
	must(t, err)
	for range 20 {
		_, err := c.Encrypt(t.Context(), "key-0", []byte("x"), nil)
		must(t, err)
	}
	for alias := range x.cts {
		k, err := c.DescribeKey(t.Context(), alias)
		must(t, err)
		x.keys[alias] = k
	}
	closeChecked(t, v)
	x.files = readDirectory(t, dir)
	return x
}

// holds checks that the vault in dir has all that was acknowledged, and that its log goes
// on from the checkpoint that was issued before the damage.
func (x *wornVault) holds(t *testing.T, dir string, report RepairReport) {
	t.Helper()
	v, err := Open(t.Context(), dir, Config{}, passphrase(t, "second"))
	if err != nil {
		t.Errorf("Open: %v", err)
		return
	}
	c := v.As(DefaultOwner)
	for alias, want := range x.keys {
		k, err := c.DescribeKey(t.Context(), alias)
		if err != nil || k.State != want.State || !maps.Equal(k.Tags, want.Tags) || k.ID != want.ID {
			t.Errorf("DescribeKey(%s): %v, %v; want that from before the damage", alias, k.State, err)
		}
		for _, other := range want.OtherAliases {
			if k, err := c.DescribeKey(t.Context(), other); err != nil || k.ID != want.ID {
				t.Errorf("DescribeKey(%s): %s, %v, want %s", other, k.ID, err, want.ID)
			}
		}
		if want.State != Enabled {
			continue
		}
		if got, err := c.Decrypt(t.Context(), x.cts[alias], nil); err != nil || string(got) != alias {
			t.Errorf("Decrypt by %s: %q, %v", alias, got, err)
		}
	}
	must(t, c.Check(t.Context()))
	var export bytes.Buffer
	must(t, c.ExportAudit(t.Context(), &export))
	if _, _, err := audit.VerifyExportFrom(&export, x.vkey, report.Checkpoint); err != nil {
		t.Errorf("the export after Repair does not verify: %v", err)
	}
	closeChecked(t, v)
}

// wornWays are what a test does to a file. older is the file of an earlier moment, nil if
// there was none.
var wornWays = map[string]func(now, older []byte) []byte{
	"deleted":               func(_, _ []byte) []byte { return nil },
	"emptied":               func(_, _ []byte) []byte { return []byte{} },
	"truncated":             func(b, _ []byte) []byte { return b[:len(b)/2] },
	"flipped at the start":  func(b, _ []byte) []byte { return flipped(b, min(8, len(b)-1)) },
	"flipped in the middle": func(b, _ []byte) []byte { return flipped(b, len(b)*2/5) },
	"older":                 func(_, older []byte) []byte { return older },
}

// damaged returns the files with damage to some of the vault.
func (x *wornVault) damaged(how map[string]string) directory {
	files := maps.Clone(x.files)
	for name, d := range how {
		if b := wornWays[d](files[name], x.older[name]); b == nil {
			delete(files, name)
		} else {
			files[name] = b
		}
	}
	return files
}

// repaired opens a damaged vault, repairs it, and checks that nothing acknowledged is
// lost. It reports whether the damage could be repaired.
func (x *wornVault) repaired(t *testing.T, how map[string]string) bool {
	t.Helper()
	dir := t.TempDir()
	x.damaged(how).write(t, dir)
	v, openErr := Open(t.Context(), dir, Config{}, passphrase(t, "correct horse"))
	if openErr == nil {
		must(t, v.Close())
		report, err := Repair(t.Context(), dir, Config{}, passphrase(t, "correct horse")) // the journal may be damaged
		must(t, err)
		x.holds(t, dir, report)
		return true
	}
	if !named(openErr) && !errors.Is(openErr, ErrNoVault) {
		t.Errorf("%v: Open: %v, want a named error", how, openErr)
	}
	advised := strings.Contains(openErr.Error(), "Repair can rebuild")
	before := readDirectory(t, dir)
	report, err := Repair(t.Context(), dir, Config{}, passphrase(t, "correct horse"))
	if advised != (err == nil) {
		t.Errorf("%v: Open says %q, and Repair: %v", how, openErr, err)
	}
	if err != nil {
		after := readDirectory(t, dir)
		after["store/epoch"] = before["store/epoch"] // has that the engine was opened, and closed again
		if !maps.EqualFunc(before, after, bytes.Equal) {
			t.Errorf("%v: Repair failed and changed files", how)
		}
		return false
	}
	if !report.Rebuilt || report.Fault == nil {
		t.Errorf("%v: report %+v, want a fault and Rebuilt", how, report)
	}
	x.holds(t, dir, report)
	again, err := Repair(t.Context(), dir, Config{}, passphrase(t, "correct horse"))
	if err != nil || again.Rebuilt {
		t.Errorf("%v: the second Repair: %+v, %v; want no change", how, again, err)
	}
	return true
}

// names lists the files that can be damaged.
func (x *wornVault) names() []string {
	names := slices.Sorted(maps.Keys(x.files))
	return slices.DeleteFunc(names, func(n string) bool { return n == "lock" })
}

// TestRepairOneFile damages each file of a vault in every way: Open is not harmed, or
// names the damage and Repair, and after Repair nothing that was acknowledged is lost but
// audit records.
func TestRepairOneFile(t *testing.T) {
	x := newWornVault(t)
	for _, name := range x.names() {
		for how := range wornWays {
			if !x.repaired(t, map[string]string{name: how}) {
				t.Errorf("%s %s: not repaired", name, how)
			}
		}
	}
}

// mayBeLost reports whether damage to both files may be beyond Repair: the root file has
// two copies, and so has the control plane, in the journal and in the engine.
func mayBeLost(a, b string) bool {
	roots := strings.HasPrefix(a, "root") && strings.HasPrefix(b, "root")
	return roots || a == keystore.JournalFile && strings.HasPrefix(b, "store/")
}

// TestRepairTwoFiles damages each pair of files. Nothing acknowledged is lost, or the
// error says that Repair does not help. With STRONGROOM_REPAIR=all it does so in every
// pair of ways, otherwise in one pair of ways, another for each pair of files.
func TestRepairTwoFiles(t *testing.T) {
	x := newWornVault(t)
	names, ways := x.names(), slices.Sorted(maps.Keys(wornWays))
	turn := 0
	for i, a := range names {
		for _, b := range names[i+1:] {
			for n := range len(ways) * len(ways) {
				if turn++; !heavy.All(t, "STRONGROOM_REPAIR") && n > 0 {
					continue
				}
				how := map[string]string{a: ways[(n+turn)%len(ways)], b: ways[(n+turn)/len(ways)%len(ways)]}
				if !x.repaired(t, how) && !mayBeLost(a, b) {
					t.Errorf("%v: not repaired", how)
				}
			}
		}
	}
}

// TestRepairOlderStores repairs vaults of an earlier version, which have no journal: their
// list of tables is lost, damaged, or names a table that is missing but stands in the redo
// log, as a failed sync left it.
func TestRepairOlderStores(t *testing.T) {
	for _, name := range []string{"badger-closed", "badger-killed"} {
		for how := range wornWays {
			if how == "older" {
				continue
			}
			dir := olderStore(t, name)
			path := filepath.Join(dir, "store", "MANIFEST")
			b, err := os.ReadFile(path)
			must(t, err)
			if b = wornWays[how](b, nil); b == nil {
				must(t, os.Remove(path))
			} else {
				must(t, os.WriteFile(path, b, 0o600))
			}
			v, openErr := Open(t.Context(), dir, Config{}, passphrase(t, "golden"))
			if openErr == nil { // the end of the list is as a kill leaves it
				holdsGolden(t, v, dir)
				closeChecked(t, v)
				continue
			}
			report, err := Repair(t.Context(), dir, Config{}, passphrase(t, "golden"))
			if err != nil || !report.Rebuilt || report.LostFrom != report.LostTo {
				t.Errorf("%s, MANIFEST %s: Open: %v; Repair: %+v, %v; want all of it back", name, how, openErr, report, err)
				continue
			}
			v, err = Open(t.Context(), dir, Config{}, passphrase(t, "golden"))
			must(t, err)
			holdsGolden(t, v, dir)
			closeChecked(t, v)
		}
	}
}

// TestRepairTenThousandKeys measures a repair of many keys after the loss of the engine.
func TestRepairTenThousandKeys(t *testing.T) {
	keys := 10000
	if !heavy.All(t, "STRONGROOM_REPAIR") {
		keys = 300
	}
	v, dir := newTestVault(t, Config{})
	c := v.As(DefaultOwner)
	var made sync.WaitGroup
	for part := range 32 {
		made.Go(func() {
			for i := part; i < keys; i += 32 {
				if _, err := c.CreateKey(t.Context(), KeyOptions{Alias: fmt.Sprint("key-", i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	made.Wait()
	closeChecked(t, v)
	must(t, os.RemoveAll(filepath.Join(dir, "store")))
	begin := time.Now()
	report, err := Repair(t.Context(), dir, Config{}, passphrase(t, "correct horse"))
	took := time.Since(begin)
	if err != nil || !report.FromJournal {
		t.Fatalf("Repair: %+v, %v", report, err)
	}
	t.Logf("Repair of %d keys took %v", keys, took)
	v, err = Open(t.Context(), dir, Config{}, passphrase(t, "correct horse"))
	must(t, err)
	found := 0
	for _, err := range v.As(DefaultOwner).ListKeys(t.Context(), KeyFilter{}) {
		must(t, err)
		found++
	}
	if found != keys {
		t.Errorf("%d keys after Repair, want %d", found, keys)
	}
	closeChecked(t, v)
}

// TestGoldenJournal repairs a vault of which only root files, tip and journal are left, as
// this version of the package first wrote them: what stands in the formats of these files
// can be read for ever.
func TestGoldenJournal(t *testing.T) {
	dir := olderStore(t, "journal")
	report, err := Repair(t.Context(), dir, Config{}, passphrase(t, "golden"))
	if err != nil || !report.FromJournal || report.LostFrom != 0 || report.LostTo == 0 {
		t.Fatalf("Repair: %+v, %v; want all audit records lost and nothing else", report, err)
	}
	v, err := Open(t.Context(), dir, Config{}, passphrase(t, "golden"))
	must(t, err)
	c := v.As(DefaultOwner)
	for alias, state := range map[string]KeyState{"first": Enabled, "disabled": Disabled} {
		if k, err := c.DescribeKey(t.Context(), alias); err != nil || k.State != state || k.Tags["made"] != "by journal 1" {
			t.Errorf("DescribeKey(%s): %+v, %v; want %v", alias, k, err, state)
		}
	}
	ct, err := os.ReadFile(filepath.Join(dir, "ciphertext"))
	must(t, err)
	if got, err := c.Decrypt(t.Context(), ct, nil); err != nil || string(got) != "sealed by an earlier release" {
		t.Errorf("Decrypt: %q, %v", got, err)
	}
	closeChecked(t, v)
}
