package drivertest

import (
	"context"
	"errors"
	"slices"

	"strongroom.example/driver"
)

// reopenKeepsKeys uses keys in the driver that is opened after a restart.
func reopenKeepsKeys(t tb, s *subject) {
	if s.reopen == nil {
		t.Logf("the harness has no Reopen: the keys of this driver do not survive a restart")
		return
	}
	d := s.open(t)
	keys := openSamples(t, s, d)
	before := make([][]byte, len(keys))
	for i, k := range keys {
		before[i] = output(t, k)
	}
	closeDriver(t, d)
	d = s.reopen(t, d)
	for i, k := range keys {
		works(t, d, k.key, "after a restart")
		k.opened = openKey[driver.Key](t, d, k.key)
		if string(output(t, k)) != string(before[i]) {
			t.Errorf("%v: the key after a restart is another one", k.row.Spec)
		}
		closeKey(t, k.opened)
		if s.info.Lister && len(k.created.Blob) == 0 && !slices.Contains(listed(t, d), k.id) {
			t.Errorf("%v: ListKeys does not list the key after a restart", k.row.Spec)
		}
		destroy(t, d, k.key)
	}
	closeDriver(t, d)
}

// output returns the output of a derivation key for a fixed input, or nil for other
// usages.
func output(t tb, k opening) []byte {
	t.Helper()
	prf, ok := k.opened.(driver.PRF)
	if !ok {
		return nil
	}
	out, err := prf.PRF(context.Background(), nil, []byte("restart"))
	if err != nil {
		t.Errorf("%v: PRF: %v", k.row.Spec, err)
	}
	return out
}

// reopenKeepsCounter increments, restarts and reads. A counter that falls back, or that
// is another one under the same identity, would hide a rollback.
func reopenKeepsCounter(t tb, s *subject) {
	if s.reopen == nil || !s.info.Counter {
		return
	}
	ctx := context.Background()
	d := s.open(t)
	name, errName := d.(driver.Counter).Identity(ctx)
	count, errCount := d.(driver.Counter).Increment(ctx)
	closeDriver(t, d)
	d = s.reopen(t, d)
	nameNow, errNameNow := d.(driver.Counter).Identity(ctx)
	countNow, errCountNow := d.(driver.Counter).Read(ctx)
	if err := errors.Join(errName, errCount, errNameNow, errCountNow); err != nil {
		t.Errorf("reading the counter before and after a restart: %v", err)
	}
	if nameNow != name || countNow != count {
		t.Errorf("the counter %q at %d is %q at %d after a restart", name, count, nameNow, countNow)
	}
	closeDriver(t, d)
}
