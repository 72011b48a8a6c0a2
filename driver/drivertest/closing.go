package drivertest

import (
	"context"
	"errors"
	"slices"

	"strongroom.example/driver"
)

// closeWaits closes a driver under load. Calls that were running must succeed, and must
// have ended when Close returns; all others are Unavailable.
func closeWaits(t tb, s *subject) {
	d := s.open(t)
	keys := openSamples(t, s, d)
	var lists [][]operation
	for _, k := range keys {
		list := keyOperations(k.createdKey, k.opened)
		lists = append(lists, list, list, list, list)
	}
	if slow, ok := s.slow(); ok {
		lists = append(lists, []operation{generation(d, slow)})
		keys = append(keys, opening{createdKey: slow})
	}
	closeUnderLoad(t, lists, d.Close)
	tidy(t, s, d, keys)
}

// keyCloseWaits closes each key under load. The driver must stay usable.
func keyCloseWaits(t tb, s *subject) {
	for _, row := range s.samples() {
		k := s.key(t, row)
		opened := openKey[driver.Key](t, s.Driver, k)
		list := keyOperations(k, opened)
		closeUnderLoad(t, [][]operation{list, list, list, list}, opened.Close)
		works(t, s.Driver, k, "after a handle was closed under load")
	}
}

// slow returns a key that most devices take long to generate, so that Close has a call to
// wait for.
func (s *subject) slow() (createdKey, bool) {
	i := slices.IndexFunc(s.generated(), func(row driver.SpecInfo) bool { return row.Spec.Algorithm.ModulusBits() != 0 })
	if i < 0 {
		return createdKey{}, false
	}
	return createdKey{id: freshID(), row: s.generated()[i]}, true
}

// generation returns an operation that generates a key repeatedly under one id.
func generation(d driver.Driver, k createdKey) operation {
	return operation{"GenerateKey of " + k.row.Spec.String(), func(ctx context.Context) error {
		_, err := d.GenerateKey(ctx, k.id, k.row.Spec)
		return err
	}}
}

// tidy destroys the keys of a closed driver, so that a device does not fill up. A driver
// without Reopen has no keys left.
func tidy(t tb, s *subject, d driver.Driver, keys []opening) {
	t.Helper()
	if s.reopen == nil {
		return
	}
	d = s.reopen(t, d)
	for _, k := range keys {
		destroy(t, d, k.createdKey)
	}
	closeDriver(t, d)
}

// useAfterClose calls every method of a closed driver and of its keys.
func useAfterClose(t tb, s *subject) {
	d := s.open(t)
	keys := openSamples(t, s, d)
	list := operations(t, s, d, keys)
	closeDriver(t, d)
	for _, op := range list {
		wantClass(t, op.call(context.Background()), op.name+" after Close", driver.Unavailable)
	}
	for _, k := range keys {
		wantClassified(t, k.opened.Close(), "closing a key after the driver")
	}
	if d.Info().Name != s.info.Name {
		t.Errorf("Info after Close differs from Info before")
	}
	tidy(t, s, d, keys)
}

func closeTwice(t tb, s *subject) {
	d := s.open(t)
	closeDriver(t, d)
	closeDriver(t, d)
}

// useAfterKeyClose closes a key twice. The key must be closed, and no other key with it.
func useAfterKeyClose(t tb, s *subject) {
	for _, row := range s.samples() {
		k := s.key(t, row)
		opened, other := openKey[driver.Key](t, s.Driver, k), openKey[driver.Key](t, s.Driver, k)
		list := keyOperations(k, opened)
		closeKey(t, opened)
		closeKey(t, opened)
		for _, op := range list {
			wantClass(t, op.call(context.Background()), op.name+" after the key was closed", driver.Unavailable)
		}
		if err := use(context.Background(), k, other); err != nil {
			t.Errorf("%v: use of a key after Close of another handle on it: %v", row.Spec, err)
		}
		closeKey(t, other)
		works(t, s.Driver, k, "after a handle was closed")
	}
}

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
		works(t, d, k.createdKey, "after a restart")
		k.opened = openKey[driver.Key](t, d, k.createdKey)
		if string(output(t, k)) != string(before[i]) {
			t.Errorf("%v: the key after a restart is another one", k.row.Spec)
		}
		closeKey(t, k.opened)
		if s.info.Lister && len(k.created.Blob) == 0 && !slices.Contains(listed(t, d), k.id) {
			t.Errorf("%v: ListKeys does not list the key after a restart", k.row.Spec)
		}
		destroy(t, d, k.createdKey)
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
