package drivertest

import (
	"context"
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
		list := keyOperations(t, k.key, k.opened)
		lists = append(lists, list, list, list, list)
	}
	if slow, ok := s.slow(); ok {
		lists = append(lists, []operation{generation(d, slow)})
		keys = append(keys, opening{key: slow})
	}
	closeUnderLoad(t, lists, d.Close)
	tidy(t, s, d, keys)
}

// keyCloseWaits closes each key under load. The driver must stay usable.
func keyCloseWaits(t tb, s *subject) {
	for _, row := range s.samples() {
		k := s.key(t, row)
		opened := openKey[driver.Key](t, s.Driver, k)
		list := keyOperations(t, k, opened)
		closeUnderLoad(t, [][]operation{list, list, list, list}, opened.Close)
		works(t, s.Driver, k, "after a handle was closed under load")
	}
}

// slow returns a key that most devices take long to generate, so that Close has a call to
// wait for.
func (s *subject) slow() (key, bool) {
	i := slices.IndexFunc(s.generated(), func(row driver.SpecInfo) bool { return modulusBits(row.Spec.Algorithm) != 0 })
	if i < 0 {
		return key{}, false
	}
	return key{id: freshID(), row: s.generated()[i]}, true
}

// generation returns an operation that generates a key repeatedly under one id.
func generation(d driver.Driver, k key) operation {
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
		destroy(t, d, k.key)
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
		list := keyOperations(t, k, opened)
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
