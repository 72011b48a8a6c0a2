package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// crashFixture is a vault with an engine in memory, several CMKs that remain, and one whose
// material is destroyed.
type crashFixture struct {
	engine    *storetest.Memory
	cfg       Config
	dir       string
	destroyed Key
	ct        []byte
	remaining [][]byte
	material  *importFixture
}

func newCrashFixture(t *testing.T, n int) (*crashFixture, *Vault) {
	t.Helper()
	x := &crashFixture{engine: storetest.NewMemory(), dir: filepath.Join(t.TempDir(), "v"), cfg: testConfig()}
	x.cfg.openEngine = func(dir string) (keystore.Engine, error) { return x.engine.Open(dir) }
	v, err := Create(t.Context(), x.dir, x.cfg, passphrase(t, "p"))
	if err != nil {
		t.Fatal(err)
	}
	c := v.As(DefaultOwner)
	encrypt := func(k Key) []byte {
		ct, err := c.Encrypt(t.Context(), k.ID, []byte("x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		return ct
	}
	for range n {
		x.remaining = append(x.remaining, encrypt(mustKey(t, c, KeyOptions{})))
	}
	kept := newExternal(t, c)
	mustImport(t, c, kept.ID, newImportFixture(t, c, kept, ownKey(2)).material())
	x.remaining = append(x.remaining, encrypt(kept))
	x.destroyed = newExternal(t, c)
	x.material = newImportFixture(t, c, x.destroyed, ownKey(1))
	mustImport(t, c, x.destroyed.ID, x.material.material())
	x.ct = encrypt(x.destroyed)
	return x, v
}

// faultyEngine is the part of a vault that remains after a crash.
type faultyEngine struct {
	pairs map[string][]byte
	files map[string][]byte
}

func (x *crashFixture) disk(t *testing.T) faultyEngine {
	t.Helper()
	return faultyEngine{x.engine.Snapshot(), readFiles(t, x.dir)}
}

func (x *crashFixture) restore(t *testing.T, d faultyEngine) {
	t.Helper()
	for path := range readFiles(t, x.dir) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	writeFiles(t, d.files)
	x.engine.Restore(d.pairs)
}

// open opens the vault and checks that every remaining CMK is there. It reports whether the
// material that was to be destroyed is still there.
func (x *crashFixture) open(t *testing.T, what string) (there bool) {
	t.Helper()
	v, err := Open(t.Context(), x.dir, x.cfg, passphrase(t, "p"))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer closeChecked(t, v)
	c := v.As(DefaultOwner)
	for i, ct := range x.remaining {
		if got, err := c.Decrypt(t.Context(), ct, nil); err != nil || string(got) != "x" {
			t.Errorf("%s: Decrypt with remaining CMK %d: %q, error %v", what, i, got, err)
		}
	}
	if left := v.store.Paths(intents); len(left) != 0 {
		t.Errorf("%s: intents remain: %q", what, left)
	}
	k, err := c.DescribeKey(t.Context(), x.destroyed.ID)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	got, err := c.Decrypt(t.Context(), x.ct, nil)
	switch {
	case k.State == Enabled && err == nil && string(got) == "x":
		return true
	case k.State == PendingImport && errors.Is(err, ErrKeyState):
		x.buried(t, v, what)
		return false
	}
	t.Errorf("%s: state %s; Decrypt: %q, error %v", what, k.State, got, err)
	return false
}

// buried checks that nothing of the destroyed material is left, and that everything works
// again after an import of the same material.
func (x *crashFixture) buried(t *testing.T, v *Vault, what string) {
	t.Helper()
	if n, want := len(v.store.Paths("material/")), len(x.remaining)+1; n != want { // and one wrapping key
		t.Errorf("%s: the store has %d materials, want %d", what, n, want)
	}
	c := v.As(DefaultOwner)
	mustImport(t, c, x.destroyed.ID, newImportFixture(t, c, x.destroyed, x.material.plain).material())
	if got, err := c.Decrypt(t.Context(), x.ct, nil); err != nil || string(got) != "x" {
		t.Errorf("%s: Decrypt after another import: %q, error %v", what, got, err)
	}
}

// TestDeleteKilledAtEachCommit interrupts DeleteImportedKeyMaterial before and after each
// batch of the store, including those of the epoch change, and opens the remaining files.
func TestDeleteKilledAtEachCommit(t *testing.T) {
	t.Parallel()
	x, v := newCrashFixture(t, 4)
	var cuts []faultyEngine
	x.engine.Fault(func(keystore.Batch) error {
		cuts = append(cuts, x.disk(t))
		return nil
	})
	if err := v.As(DefaultOwner).DeleteImportedKeyMaterial(t.Context(), x.destroyed.ID); err != nil {
		t.Fatal(err)
	}
	x.engine.Fault(nil)
	cuts = append(cuts, x.disk(t))
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	destroyed := 0
	for i, cut := range cuts {
		x.restore(t, cut)
		if !x.open(t, fmt.Sprintf("cut before batch %d of %d", i, len(cuts)-1)) {
			destroyed++
		}
	}
	if len(cuts) < 6 || destroyed != len(cuts)-1 {
		t.Errorf("%d interrupted states, the material is destroyed in %d; it may remain in the first only", len(cuts), destroyed)
	}
}

// TestDeleteFailsAtEachCommit makes each batch fail: the caller gets an error, and the next
// Open completes the destruction.
func TestDeleteFailsAtEachCommit(t *testing.T) {
	t.Parallel()
	for n := 0; ; n++ {
		x, v := newCrashFixture(t, 2)
		batches := 0
		x.engine.Fault(func(keystore.Batch) error {
			if batches++; batches > n {
				return errors.New("disk is gone")
			}
			return nil
		})
		err := v.As(DefaultOwner).DeleteImportedKeyMaterial(t.Context(), x.destroyed.ID)
		x.engine.Fault(nil)
		v.Close()
		if err == nil {
			if n < 5 {
				t.Errorf("the deletion took only %d batches, want 5 or more", n)
			}
			x.open(t, "all went well")
			return
		}
		if there := x.open(t, fmt.Sprintf("batch %d failed", n)); there != (n == 0) {
			t.Errorf("batch %d failed: the material is there: %v", n, there)
		}
	}
}

// TestOldEngineCannotDecrypt: an old copy of the engine beside the present root file does not
// open, with or without the old tip.
func TestOldEngineCannotDecrypt(t *testing.T) {
	x, v := newCrashFixture(t, 2)
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	before := x.disk(t)
	v, err := Open(t.Context(), x.dir, x.cfg, passphrase(t, "p"))
	if err != nil {
		t.Fatal(err)
	}
	generation := v.store.Root().Generation
	if err := v.As(DefaultOwner).DeleteImportedKeyMaterial(t.Context(), x.destroyed.ID); err != nil {
		t.Fatal(err)
	}
	if got := v.store.Root().Generation; got != generation+2 {
		t.Errorf("the root file went from generation %d to %d; an epoch begins with one and drops the past key with another", generation, got)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	after := x.disk(t)
	oldTip := map[string][]byte{}
	for path, b := range after.files {
		oldTip[path] = b
		if filepath.Base(path) == "tip" {
			oldTip[path] = before.files[path]
		}
	}
	for name, d := range map[string]faultyEngine{
		"old engine":         {before.pairs, after.files},
		"old engine and tip": {before.pairs, oldTip},
	} {
		x.restore(t, d)
		if v, err := Open(t.Context(), x.dir, x.cfg, passphrase(t, "p")); !errors.Is(err, ErrRolledBack) {
			t.Errorf("Open, %s: %v, want ErrRolledBack", name, err)
			if err == nil {
				v.Close()
			}
		}
	}
	x.restore(t, after)
	if x.open(t, "present files") {
		t.Error("the present files open the destroyed material")
	}
	// SECURITY.md describes what is possible with a copy of everything.
	x.restore(t, before)
	if !x.open(t, "a copy of everything") {
		t.Error("the copy of everything does not open the material, so the test proves nothing")
	}
}

// TestOldEngineDirectory is the same test with the files of the embedded engine.
func TestOldEngineDirectory(t *testing.T) {
	v, dir := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
	ct, err := c.Encrypt(t.Context(), k.ID, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	closeChecked(t, v)
	store, saved := filepath.Join(dir, "store"), filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(saved, os.DirFS(store)); err != nil {
		t.Fatal(err)
	}
	if v, err = Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse")); err != nil {
		t.Fatal(err)
	}
	if err := v.As(DefaultOwner).DeleteImportedKeyMaterial(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := v.As(DefaultOwner).Decrypt(t.Context(), ct, nil); !errors.Is(err, ErrKeyState) {
		t.Errorf("Decrypt after the deletion: %v, want ErrKeyState", err)
	}
	closeChecked(t, v)
	if err := errors.Join(os.RemoveAll(store), os.CopyFS(store, os.DirFS(saved))); err != nil {
		t.Fatal(err)
	}
	if v, err = Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse")); !errors.Is(err, ErrRolledBack) {
		t.Errorf("old engine directory: %v", err)
		if err == nil {
			v.Close()
		}
	}
}

// TestHandleIsDrained: no handle of destroyed material is kept open, neither one from
// before the destruction nor one that a slow operation opens afterwards.
func TestHandleIsDrained(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := newExternal(t, c)
	mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
	if _, err := c.Encrypt(ctx, k.ID, nil, nil); err != nil {
		t.Fatal(err)
	}
	ver, err := v.records.version(ctx, k.ID, 1)
	if err != nil {
		t.Fatal(err)
	}
	id, err := ver.material()
	if err != nil {
		t.Fatal(err)
	}
	one, open := v.handles.Take(id)
	if !open {
		t.Fatal("the key has no open handle before the deletion")
	}
	v.handles.Give(one)
	if !v.handles.Begin(id) { // the slow operation has read the material
		t.Fatal("Begin returned false before the deletion")
	}
	if err := c.DeleteImportedKeyMaterial(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	if _, open := v.handles.Take(id); open {
		t.Error("the handle of destroyed material is still open")
	}
	late := &countingKey{}
	one = v.handles.Put(id, late, 0)
	v.handles.Give(one)
	v.handles.End(id)
	if _, opening, draining := v.handles.Counts(); opening+draining != 0 {
		t.Errorf("state of destroyed material remains: %d drains, %d openings", draining, opening)
	}
	if _, open := v.handles.Take(id); open || late.closed != 1 {
		t.Errorf("the late handle is kept open; its key was closed %d times, want 1", late.closed)
	}
	if _, err := v.prf(ctx, ver, nil, nil); err == nil || !strings.Contains(err.Error(), "material") {
		t.Errorf("used by its old record: %v", err)
	}
}

type countingKey struct{ closed int }

func (k *countingKey) Close() error { k.closed++; return nil }

// TestImportKilledAtEachCommit interrupts ParametersForImport and ImportKeyMaterial before
// each batch of the store: the CMK is either complete or PendingImport, and can then be
// imported.
func TestImportKilledAtEachCommit(t *testing.T) {
	t.Parallel()
	x, v := newCrashFixture(t, 1)
	c := v.As(DefaultOwner)
	if err := c.DeleteImportedKeyMaterial(t.Context(), x.destroyed.ID); err != nil {
		t.Fatal(err)
	}
	var cuts []faultyEngine
	x.engine.Fault(func(keystore.Batch) error {
		cuts = append(cuts, x.disk(t))
		return nil
	})
	mustImport(t, c, x.destroyed.ID, newImportFixture(t, c, x.destroyed, x.material.plain).material())
	x.engine.Fault(nil)
	cuts = append(cuts, x.disk(t))
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	whole := 0
	for i, cut := range cuts {
		x.restore(t, cut)
		if x.reimport(t, fmt.Sprintf("cut before batch %d of %d", i, len(cuts)-1)) {
			whole++
		}
	}
	if len(cuts) != 5 || whole != 1 {
		t.Errorf("%d cuts, imported after %d; want 2 batches for each of 2 operations, and the last to import", len(cuts), whole)
	}
}

// reimport opens the vault, reports whether the import was complete, and completes it.
func (x *crashFixture) reimport(t *testing.T, what string) bool {
	t.Helper()
	v, err := Open(t.Context(), x.dir, x.cfg, passphrase(t, "p"))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer closeChecked(t, v)
	c := v.As(DefaultOwner)
	if left := v.store.Paths(intents); len(left) != 0 {
		t.Errorf("%s: intents remain: %q", what, left)
	}
	k, err := c.DescribeKey(t.Context(), x.destroyed.ID)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	mustImport(t, c, k.ID, newImportFixture(t, c, k, x.material.plain).material())
	for _, ct := range append(x.remaining, x.ct) {
		if got, err := c.Decrypt(t.Context(), ct, nil); err != nil || string(got) != "x" {
			t.Errorf("%s: Decrypt: %q, error %v", what, got, err)
		}
	}
	return k.State == Enabled
}
