package vaultmodel

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"time"

	"pgregory.net/rapid"

	"strongroom.example/vault"
)

// maxDataKeys is how many named data keys are made in one vault.
const maxDataKeys = 60

// dataKeyModel is the reference for one named data key.
type dataKeyModel struct {
	id, name string
	key      *keyModel
	state    vault.KeyState
	removed  bool
	date     time.Time // of the removal
	plain    []byte    // nil before it was first opened
}

// settle does what the vault does by itself at the time of m, and reports whether it did
// anything.
func (d *dataKeyModel) settle(m *timeModel) (did bool) {
	due := d.state == vault.PendingDeletion && !m.confirmed.Before(d.date)
	if did = !d.removed && (due || d.key.state == vault.Destroyed); did {
		d.removed = true
	}
	return did
}

// dataKeyActions are the steps on named data keys. They take a CMK, of which the first makes
// one; the others take any data key.
var dataKeyActions = []keyAction{
	{"create data key", 6, (*system).createDataKey},
	{"open data key", 8, onDataKey((*system).openDataKey)},
	{"enable data key", 4, onDataKey((*system).enableDataKey)},
	{"disable data key", 5, onDataKey((*system).disableDataKey)},
	{"rename data key", 2, onDataKey((*system).renameDataKey)},
	{"re-encrypt data key", 2, onDataKey((*system).reEncryptDataKey)},
	{"schedule data key deletion", 4, onDataKey((*system).scheduleDataKey)},
	{"cancel data key deletion", 2, onDataKey((*system).cancelDataKey)},
}

// onDataKey returns a step on any named data key, which is compared afterwards.
func onDataKey(do func(*system, *dataKeyModel)) func(*system, *keyModel) {
	return func(x *system, _ *keyModel) {
		if len(x.dataKeys) == 0 {
			return
		}
		d := x.dataKeys[unbiased.Draw(x.T, "data key")%len(x.dataKeys)]
		do(x, d)
		x.compareDataKey(d)
	}
}

// refuseDataKey returns the error of an operation that the data key allows in one state, and
// its CMK in some.
func (x *system) refuseDataKey(d *dataKeyModel, in []vault.KeyState, ofKey ...vault.KeyState) error {
	if d.removed {
		return vault.ErrNotFound
	}
	if err := x.refusal(d.key, ofKey...); err != nil {
		return err
	}
	for _, state := range in {
		if d.state == state {
			return nil
		}
	}
	return vault.ErrDataKeyState
}

// Some states of CMKs.
var (
	lasting = []vault.KeyState{vault.Enabled, vault.Disabled, vault.PendingImport, vault.Archived}
	present = append([]vault.KeyState{vault.PendingDeletion}, lasting...)
	notDue  = []vault.KeyState{vault.Enabled, vault.Disabled}
)

func (x *system) createDataKey(k *keyModel) {
	if len(x.dataKeys) >= maxDataKeys {
		return
	}
	d := &dataKeyModel{name: "n" + rand.Text(), key: k, state: vault.Enabled}
	got, err := x.c.CreateDataKey(context.Background(), x.nameOf(k), 32, vault.DataKeyOptions{Name: d.name})
	if x.expect("CreateDataKey", err, x.refusal(k, vault.Enabled)) {
		d.id = got.ID
		x.dataKeys = append(x.dataKeys, d)
		x.openDataKey(d)
	}
}

// openDataKey opens a data key, which always has the same bytes.
func (x *system) openDataKey(d *dataKeyModel) {
	x.Helper()
	k, err := x.c.OpenNamedDataKey(context.Background(), d.name)
	if !x.expect("OpenNamedDataKey", err, x.refuseDataKey(d, []vault.KeyState{vault.Enabled}, vault.Enabled, vault.Archived)) {
		return
	}
	defer k.Destroy()
	err = k.Use(func(b []byte) error {
		if d.plain != nil && !bytes.Equal(b, d.plain) {
			return errors.New("the data key has other bytes than before")
		}
		d.plain = bytes.Clone(b)
		return nil
	})
	if err != nil {
		x.Fatal(err)
	}
}

func (x *system) enableDataKey(d *dataKeyModel) {
	if x.expect("EnableDataKeys", x.c.EnableDataKeys(context.Background(), d.id), x.refuseDataKey(d, notDue, lasting...)) {
		d.state = vault.Enabled
	}
}

func (x *system) disableDataKey(d *dataKeyModel) {
	if x.expect("DisableDataKeys", x.c.DisableDataKeys(context.Background(), d.id), x.refuseDataKey(d, notDue, present...)) {
		d.state = vault.Disabled
	}
}

func (x *system) renameDataKey(d *dataKeyModel) {
	name := "n" + rand.Text()
	if x.expect("SetDataKeyName", x.c.SetDataKeyName(context.Background(), d.id, name), x.refuseDataKey(d, notDue, lasting...)) {
		d.name = name
	}
}

func (x *system) reEncryptDataKey(d *dataKeyModel) {
	_, err := x.c.ReEncryptDataKey(context.Background(), d.id)
	want := x.refuseDataKey(d, notDue, vault.Enabled, vault.Archived)
	if want == nil {
		want = x.refusal(d.key, vault.Enabled)
	}
	x.expect("ReEncryptDataKey", err, want)
}

func (x *system) scheduleDataKey(d *dataKeyModel) {
	days := rapid.IntRange(vault.MinDeletionDays, vault.MaxDeletionDays).Draw(x.T, "days")
	want := x.refuseDataKey(d, []vault.KeyState{vault.Disabled}, present...)
	_, err := x.c.ScheduleDataKeyDeletion(context.Background(), d.id, days)
	if x.expect("ScheduleDataKeyDeletion", err, want) {
		d.state, d.date = vault.PendingDeletion, x.time.now().Add(time.Duration(days)*day)
	}
}

func (x *system) cancelDataKey(d *dataKeyModel) {
	want := x.refuseDataKey(d, []vault.KeyState{vault.PendingDeletion}, lasting...)
	if x.expect("CancelDataKeyDeletion", x.c.CancelDataKeyDeletion(context.Background(), d.id), want) {
		d.state = vault.Disabled
	}
}

// compareDataKey compares a named data key with its model.
func (x *system) compareDataKey(d *dataKeyModel) {
	x.Helper()
	got, err := x.c.DescribeDataKeys(context.Background(), d.name)
	switch {
	case d.removed && errors.Is(err, vault.ErrNotFound):
	case d.removed || err != nil:
		x.Fatalf("%v: DescribeDataKeys returned %+v, error %v; removed: %v", x.time, got, err, d.removed)
	case got[0].ID != d.id || got[0].State != d.state || d.state == vault.PendingDeletion && !got[0].DeletionDate.Equal(d.date):
		x.Fatalf("%v: DescribeDataKeys returned %+v, want %s, %v", x.time, got[0], d.state, d.date)
	}
}

// deviceAbsent opens the vault without its device for a while. No CMK becomes Destroyed whose
// material is in the device; one that has no material may. Then it opens the vault with the
// device, which finishes what is due.
func (x *system) deviceAbsent() {
	if len(x.cfg.Drivers) == 0 {
		return
	}
	absent := x.cfg
	absent.Drivers, absent.Driver = nil, ""
	if err := x.vault.Close(); err != nil {
		x.Fatal(err)
	}
	v, err := vault.Open(context.Background(), x.dir, absent, protector())
	if err != nil {
		x.Fatalf("Open without the device: %v", err)
	}
	x.vault, x.c = v, v.As(vault.DefaultOwner)
	x.time.opened()
	d := rapid.SampledFrom([]time.Duration{time.Minute, day, 8 * day, 31 * day}).Draw(x.T, "absent")
	x.clock.Advance(d)
	x.time.pass(d)
	for _, k := range x.keys {
		got, err := x.c.DescribeKey(context.Background(), k.id)
		destroyed := k.state == vault.Destroyed
		mayBe := destroyed || k.state == vault.PendingDeletion && !k.material && !x.time.confirmed.Before(k.date)
		if err != nil || destroyed && got.State != vault.Destroyed || got.State == vault.Destroyed && !mayBe {
			x.Fatalf("%v: without the device DescribeKey returned %s, error %v; the key was %s", x.time, got.State, err, k.state)
		}
	}
	x.reopen(false, false)
}
