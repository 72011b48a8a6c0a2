package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// newMoveVault makes a vault on the software engine, with a device as a second driver.
func newMoveVault(t *testing.T) (*Vault, *drivertest.Faulty, Config, string) {
	t.Helper()
	device := drivertest.NewFaulty(drivertest.NewMemory())
	t.Cleanup(func() { device.Close() })
	cfg := Config{Edition: testEdition(), Drivers: map[string]driver.Driver{"hsm": device}}
	v, dir := newTestVault(t, cfg)
	return v, device, cfg, dir
}

func TestMoveKey(t *testing.T) {
	v, _, cfg, dir := newMoveVault(t)
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	var made [][]byte
	for range 3 {
		ct, err := c.Encrypt(ctx, k.ID, []byte("4711"), nil)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, ct)
		if _, err := c.RotateKey(ctx, k.ID); err != nil {
			t.Fatal(err)
		}
	}
	receipts, err := c.MoveKey(ctx, k.ID, "hsm")
	if err != nil || len(receipts) != 4 {
		t.Fatalf("MoveKey: %d receipts, error %v, want 4", len(receipts), err)
	}
	for i, text := range receipts {
		r, err := audit.OpenReceipt(text, v.LogKey())
		if err != nil || r.Key != k.ID || r.Version != uint32(i+1) || r.From.Driver != softDriver || r.To.Driver != "hsm" {
			t.Errorf("receipt %d: %+v, %v", i, r, err)
		}
	}
	checkMoved(t, v, k.ID, receipts)
	closeChecked(t, v)
	if v, err = Open(ctx, dir, cfg, passphrase(t, "correct horse")); err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	for i, ct := range made {
		if got, err := v.As(DefaultOwner).Decrypt(ctx, ct, nil); err != nil || string(got) != "4711" {
			t.Errorf("Decrypt with version %d: %q, error %v", i+1, got, err)
		}
	}
	if _, err := v.As(DefaultOwner).MoveKey(ctx, k.ID, softDriver); !errors.Is(err, ErrNotExportable) {
		t.Errorf("out of the device: %v", err)
	}
}

// checkMoved checks a CMK after its move: its place, its provenance, that nothing is left
// at the old place, and that the audit log has the receipts.
func checkMoved(t *testing.T, v *Vault, key string, receipts [][]byte) {
	t.Helper()
	c, ctx := v.As(DefaultOwner), t.Context()
	k, err := c.DescribeKey(ctx, key)
	if err != nil || k.Driver != "hsm" || k.Residence != Resident || k.Provenance != ProvenanceVault {
		t.Errorf("after the move: %+v, %v", k, err)
	}
	versions, err := c.ListKeyVersions(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, ver := range versions {
		if ver.Driver != "hsm" || ver.Residence != Resident || ver.Provenance != ProvenanceVault {
			t.Errorf("version after the move: %+v", ver)
		}
	}
	if n := len(v.store.Paths("material/")); n != len(versions) {
		t.Errorf("%d records of material for %d versions", n, len(versions))
	}
	if left := v.store.Paths(intents); len(left) != 0 {
		t.Errorf("intents remain: %v", left)
	}
	var recorded [][]byte
	for r, err := range c.AuditRecords(ctx, audit.Filter{Operation: string(OpMoveKey)}) {
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := r.Detail["receipt"]; ok {
			recorded = append(recorded, []byte(text))
		}
	}
	if !slices.EqualFunc(recorded, receipts, bytes.Equal) {
		t.Errorf("the audit has %d receipts, %d were given", len(recorded), len(receipts))
	}
}

// TestMoveEverySpec moves a key of each spec that the device accepts, and uses it there.
func TestMoveEverySpec(t *testing.T) {
	t.Parallel()
	v, device, _, _ := newMoveVault(t)
	c, ctx := v.As(DefaultOwner), t.Context()
	for _, row := range specTable {
		spec := row.device(v.suite)
		can, _ := device.Info().Find(spec)
		if !can.Import || row.spec == RSA3072 || row.spec == RSA4096 {
			continue
		}
		t.Run(spec.String(), func(t *testing.T) {
			needs(t, row.spec)
			k := mustKey(t, c, KeyOptions{Spec: row.spec, Usage: row.usage})
			s := subject{key: k}
			var err error
			switch row.usage {
			case EncryptDecrypt:
				s.ct, err = c.Encrypt(ctx, k.ID, []byte("m"), nil)
			case SignVerify:
				s.signature, err = c.Sign(ctx, k.ID, []byte("m"), SignOptions{})
			case GenerateVerifyMac:
				s.mac, err = c.GenerateMac(ctx, k.ID, []byte("m"))
			case AsymmetricDecrypt:
				s.encrypted = encryptTo(t, c, k.ID, []byte("a message"))
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.MoveKey(ctx, k.ID, "hsm"); err != nil {
				t.Fatal(err)
			}
			for op, usages := range usageTable {
				after := op == OpDecrypt || op == OpVerify || op == OpSign || op == OpVerifyMac || op == OpAsymmetricDecrypt
				if !after || !slices.Contains(usages, row.usage) {
					continue
				}
				if err := acts[op](ctx, c, s); err != nil {
					t.Errorf("%s after the move: %v", op, err)
				}
			}
		})
	}
}

// TestMoveFails: whatever fault the device has, the CMK remains complete at its old place.
func TestMoveFails(t *testing.T) {
	for name, row := range map[string]struct {
		fault drivertest.Fault
		want  error
	}{
		"refused":          {drivertest.Fault{Method: drivertest.MethodImportKey, Fail: true, Class: driver.Denied}, ErrUnavailable},
		"unknown, after":   {drivertest.Fault{Method: drivertest.MethodImportKey, Fail: true, Class: driver.Unknown, After: true}, ErrUnavailable},
		"busy once":        {drivertest.Fault{Method: drivertest.MethodImportKey, Nth: 1, Fail: true, Class: driver.Throttled}, nil},
		"gone when opened": {drivertest.Fault{Method: drivertest.MethodOpenKey, Fail: true, Class: driver.Denied}, ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			v, device, cfg, dir := newMoveVault(t)
			c, ctx := v.As(DefaultOwner), t.Context()
			k := mustKey(t, c, KeyOptions{})
			ct, err := c.Encrypt(ctx, k.ID, []byte("m"), nil)
			if err != nil {
				t.Fatal(err)
			}
			device.Add(row.fault)
			_, err = c.MoveKey(ctx, k.ID, "hsm")
			if !errors.Is(err, row.want) || row.want == nil && err != nil {
				t.Errorf("MoveKey: %v, want %v", err, row.want)
			}
			device.Clear()
			if row.want != nil {
				if got, err := c.Decrypt(ctx, ct, nil); err != nil || string(got) != "m" {
					t.Errorf("Decrypt after the failed move: %q, error %v", got, err)
				}
			}
			closeChecked(t, v)
			if v, err = Open(ctx, dir, cfg, passphrase(t, "correct horse")); err != nil {
				t.Fatal(err)
			}
			defer closeChecked(t, v)
			if left := v.store.Paths(intents); len(left) != 0 {
				t.Errorf("intents remain: %v", left)
			}
		})
	}
}

func TestMoveBadInput(t *testing.T) {
	v, _, _, _ := newMoveVault(t)
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	resident := mustKey(t, c, KeyOptions{Driver: "hsm"})
	size := v.store.LogState().Size
	for name, row := range map[string]struct {
		key, to string
		want    error
		count   int
	}{
		"to nowhere":      {k.ID, "other", ErrInvalid, 0},
		"to itself":       {k.ID, softDriver, nil, 0},
		"resident":        {resident.ID, softDriver, ErrNotExportable, 0},
		"resident itself": {resident.ID, "hsm", nil, 0},
		"no key":          {"none", "hsm", ErrNotFound, 0},
	} {
		got, err := c.MoveKey(ctx, row.key, row.to)
		if !errors.Is(err, row.want) || row.want == nil && err != nil || len(got) != row.count {
			t.Errorf("%s: %d receipts, %v, want %v", name, len(got), err, row.want)
		}
	}
	if got := v.store.LogState().Size - size; got != 5 {
		t.Errorf("%d records of 5 calls of MoveKey, want one for each", got)
	}
}

// TestMoveKilledAtEachCommit interrupts a move before each batch of the store, including
// those of the epoch change, and opens the remaining files: the CMK is complete, in one
// place.
func TestMoveKilledAtEachCommit(t *testing.T) {
	engine, device, dir := storetest.NewMemory(), drivertest.NewMemory(), filepath.Join(t.TempDir(), "v")
	defer device.Close()
	cfg := Config{Edition: testEdition(), Drivers: map[string]driver.Driver{"hsm": device}, openEngine: engine.Open}
	v, err := Create(t.Context(), dir, cfg, passphrase(t, "p"))
	if err != nil {
		t.Fatal(err)
	}
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{})
	ct, err := c.Encrypt(t.Context(), k.ID, []byte("m"), nil)
	if err != nil {
		t.Fatal(err)
	}
	type cut struct{ pairs, files map[string][]byte }
	var cuts []cut
	engine.Fault(func(keystore.Batch) error {
		cuts = append(cuts, cut{engine.Snapshot(), readFiles(t, dir)})
		return nil
	})
	if _, err := c.MoveKey(t.Context(), k.ID, "hsm"); err != nil {
		t.Fatal(err)
	}
	engine.Fault(nil)
	cuts = append(cuts, cut{engine.Snapshot(), readFiles(t, dir)})
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	places := map[string]int{}
	// In reverse order, because opening an early state removes the material from the device.
	for i, cut := range slices.Backward(cuts) {
		for path := range readFiles(t, dir) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		writeFiles(t, cut.files)
		engine.Restore(cut.pairs)
		v, err := Open(t.Context(), dir, cfg, passphrase(t, "p"))
		if err != nil {
			t.Fatalf("Open of state %d: %v", i, err)
		}
		c := v.As(DefaultOwner)
		if got, err := c.Decrypt(t.Context(), ct, nil); err != nil || string(got) != "m" {
			t.Errorf("state %d: Decrypt: %q, error %v", i, got, err)
		}
		if n, left := len(v.store.Paths("material/")), v.store.Paths(intents); n != 1 || len(left) != 0 {
			t.Errorf("state %d: %d materials, intents %v", i, n, left)
		}
		now, err := c.DescribeKey(t.Context(), k.ID)
		if err != nil {
			t.Fatal(err)
		}
		places[now.Driver]++
		closeChecked(t, v)
	}
	if places[softDriver] < 2 || places["hsm"] < 3 {
		t.Errorf("%d interrupted states; the material was found in %v", len(cuts), places)
	}
}

// TestMoveOfVersionsKilledAtEachCommit is the same test with a CMK of several versions. The
// old material is deleted with a change of epoch, by the move or by the next Open.
func TestMoveOfVersionsKilledAtEachCommit(t *testing.T) {
	t.Parallel()
	x := newMoveFixture(t)
	var cuts []faultyEngine
	var destroying []bool
	x.engine.Fault(func(keystore.Batch) error {
		cuts, destroying = append(cuts, x.disk(t)), append(destroying, x.destroying(t))
		return nil
	})
	if _, err := x.v.As(DefaultOwner).MoveKey(t.Context(), x.key, "hsm"); err != nil {
		t.Fatal(err)
	}
	x.engine.Fault(nil)
	if err := x.v.Close(); err != nil {
		t.Fatal(err)
	}
	ended := 0
	for i, cut := range slices.Backward(cuts) { // see TestMoveKilledAtEachCommit
		x.restore(t, cut)
		if changed := x.reopen(t, fmt.Sprintf("cut %d", i)); destroying[i] && !changed {
			t.Errorf("state %d: old material was removed without a change of epoch", i)
		} else if destroying[i] {
			ended++
		}
	}
	if ended < 4 {
		t.Errorf("of %d interrupted states only %d have material to destroy", len(cuts), ended)
	}
}

// TestMoveFailsAtEachCommit makes each batch fail. The next Open completes the unfinished
// operation.
func TestMoveFailsAtEachCommit(t *testing.T) {
	t.Parallel()
	for n := 0; ; n++ {
		x, batches := newMoveFixture(t), 0
		x.engine.Fault(func(keystore.Batch) error {
			if batches++; batches > n {
				return errors.New("disk is gone")
			}
			return nil
		})
		_, err := x.v.As(DefaultOwner).MoveKey(t.Context(), x.key, "hsm")
		x.engine.Fault(nil)
		destroying := x.destroying(t)
		x.v.Close()
		if changed := x.reopen(t, fmt.Sprintf("batch %d failed", n)); destroying && !changed {
			t.Errorf("batch %d failed: old material was removed without a change of epoch", n)
		}
		if err == nil {
			if n < 8 {
				t.Errorf("the move took only %d batches, want 8 or more", n)
			}
			return
		}
	}
}

// TestMoveStopsHalfWay: if the device fails or the context ends during a move, the old
// material of the versions moved before is destroyed at once.
func TestMoveStopsHalfWay(t *testing.T) {
	for name, fault := range map[string]drivertest.Fault{
		"device fails":    {Method: drivertest.MethodImportKey, Nth: 3, Fail: true, Class: driver.Denied},
		"caller gives up": {Method: drivertest.MethodImportKey, Nth: 3, Block: make(chan struct{})},
	} {
		t.Run(name, func(t *testing.T) {
			x := newMoveFixture(t)
			generation := x.v.store.Root().Generation
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			x.device.Add(fault)
			var receipts [][]byte
			var err error
			moved := make(chan struct{})
			go func() {
				defer close(moved)
				receipts, err = x.v.As(DefaultOwner).MoveKey(ctx, x.key, "hsm")
			}()
			if fault.Block != nil {
				poll.Until(t, "the device is asked", func() bool { return x.device.Waiting() > 0 })
				cancel()
			}
			<-moved
			if err == nil || len(receipts) != 2 {
				t.Errorf("MoveKey: %d receipts, error %v, want 2 and an error", len(receipts), err)
			}
			if changes := (x.v.store.Root().Generation - generation) / 2; changes < 1 || changes > 2 {
				t.Errorf("%d changes of epoch for the old material of two versions, want 1 or 2", changes)
			}
			x.device.Clear()
			x.check(t, x.v, "half-way")
			if receipts, err = x.v.As(DefaultOwner).MoveKey(t.Context(), x.key, "hsm"); err != nil || len(receipts) != len(x.cts)-2 {
				t.Errorf("the second MoveKey: %d receipts, error %v", len(receipts), err)
			}
			x.check(t, x.v, "after the rest")
			closeChecked(t, x.v)
		})
	}
}

// TestMoveRaces: while a slow device imports a version, another call moves it elsewhere, or
// deletes its material and imports it again. No old material is left.
func TestMoveRaces(t *testing.T) {
	slow, quick := drivertest.NewFaulty(drivertest.NewMemory()), drivertest.NewMemory()
	v, _ := newTestVault(t, Config{Edition: testEdition(), Drivers: map[string]driver.Driver{"slow": slow, "quick": quick}})
	c, ctx := v.As(DefaultOwner), t.Context()
	elsewhere := func(k Key) {
		if _, err := c.MoveKey(ctx, k.ID, "quick"); err != nil {
			t.Error(err)
		}
	}
	again := func(k Key) {
		if err := c.DeleteImportedKeyMaterial(ctx, k.ID); err != nil {
			t.Error(err)
		}
		mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
	}
	for name, row := range map[string]struct {
		options   KeyOptions
		meanwhile func(Key)
		want      error
		on        string
	}{
		"another move":           {KeyOptions{}, elsewhere, ErrNotExportable, "quick"},
		"another move of a pair": {KeyOptions{Spec: ECCP256}, elsewhere, ErrNotExportable, "quick"},
		"another import":         {KeyOptions{Origin: OriginExternal}, again, nil, "slow"},
	} {
		t.Run(name, func(t *testing.T) {
			k := mustKey(t, c, row.options)
			if k.Origin == OriginExternal {
				mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
			}
			materials, made := len(v.store.Paths("material/")), objects(t, slow)+objects(t, quick)
			proceed := make(chan struct{})
			slow.Add(drivertest.Fault{Method: drivertest.MethodImportKey, Nth: 1, Block: proceed})
			moved := make(chan error)
			go func() { _, err := c.MoveKey(ctx, k.ID, "slow"); moved <- err }()
			poll.Until(t, "the move", func() bool { return slow.Waiting() == 1 })
			row.meanwhile(k)
			close(proceed)
			if err := <-moved; !errors.Is(err, row.want) || row.want == nil && err != nil {
				t.Errorf("MoveKey: %v, want %v", err, row.want)
			}
			slow.Clear()
			if k, err := c.DescribeKey(ctx, k.ID); err != nil || k.Driver != row.on || k.State != Enabled {
				t.Errorf("DescribeKey: %+v, error %v", k, err)
			}
			if made = objects(t, slow) + objects(t, quick) - made; made != 1 || len(v.store.Paths("material/")) > materials {
				t.Errorf("%d materials, %d before; the devices gained %d objects, want 1", len(v.store.Paths("material/")), materials, made)
			}
		})
	}
}

// TestMoveEndsTheImportToken: when imported material moves into a device, the wrapping key
// of its import is removed, so that the host can no longer decrypt the wrapped material.
func TestMoveEndsTheImportToken(t *testing.T) {
	cfg := testConfig()
	cfg.Drivers = map[string]driver.Driver{"hsm": drivertest.NewMemory()}
	v, _ := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	k := newExternal(t, c)
	p := newImportFixture(t, c, k, ownKey(1))
	mustImport(t, c, k.ID, p.material())
	token, err := v.tokens().Open(p.parameters.Token)
	if err != nil || v.store.Version(materialPath(token.Serial)) == 0 {
		t.Fatal("the host has no wrapping key before the move")
	}
	if _, err := c.MoveKey(ctx, k.ID, "hsm"); err != nil {
		t.Fatal(err)
	}
	if v.store.Version(materialPath(token.Serial)) != 0 {
		t.Error("the host still has the wrapping key of the import")
	}
	if _, err := c.ImportKeyMaterial(ctx, k.ID, p.material()); !errors.Is(err, ErrImport) {
		t.Errorf("the token after the move: %v", err)
	}
	mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
}
