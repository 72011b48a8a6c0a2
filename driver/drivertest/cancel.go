package drivertest

import (
	"context"
	"time"

	"strongroom.example/driver"
)

// canceledNeverReachesDevice calls every method with a context that is done. It does so
// many times, because a driver that leaves the choice to a select is right only every
// other time.
func canceledNeverReachesDevice(t tb, s *subject) {
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	late, stop := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer stop()
	keys := openSamples(t, s, s.Driver)
	ids, count := traces(t, s)
	for _, op := range operations(t, s, s.Driver, keys) {
		for range 20 {
			wantBare(t, op.call(canceled), op.name+" with a canceled context", context.Canceled)
		}
		wantBare(t, op.call(late), op.name+" after the deadline", context.DeadlineExceeded)
	}
	canceledOutput(t, s, canceled)
	idsNow, countNow := traces(t, s)
	if ids != idsNow {
		t.Errorf("canceled calls left %d additional keys in the device", idsNow-ids)
	}
	if count != countNow {
		t.Errorf("canceled calls incremented the counter by %d", countNow-count)
	}
	for _, k := range keys {
		works(t, s.Driver, k.key, "after its destruction was canceled")
		closeKey(t, k.opened)
		s.discard(t, k.key)
	}
}

// contextNotKept ends the context with which keys were opened. The keys must stay usable.
func contextNotKept(t tb, s *subject) {
	ctx, cancel := context.WithCancel(context.Background())
	var keys []opening
	for _, row := range s.samples() {
		k := s.key(t, row)
		opened, err := s.OpenKey(ctx, k.id, row.Spec, k.created.Blob)
		if err != nil {
			t.Errorf("%v: OpenKey: %v", row.Spec, err)
			continue
		}
		keys = append(keys, opening{k, opened})
	}
	cancel()
	time.Sleep(10 * time.Millisecond) // time for a driver that watches the context to react
	for _, k := range keys {
		if err := use(context.Background(), k.key, k.opened); err != nil {
			t.Errorf("%v: use of a key after the context of OpenKey ended: %v", k.row.Spec, err)
		}
		closeKey(t, k.opened)
	}
}

// traces returns what a call would have left in the device.
func traces(t tb, s *subject) (ids int, count uint64) {
	t.Helper()
	if s.info.Lister {
		ids = len(listed(t, s.Driver))
	}
	if s.info.Counter {
		var err error
		if count, err = s.Driver.(driver.Counter).Read(context.Background()); err != nil {
			t.Errorf("Read: %v", err)
		}
	}
	return ids, count
}

// canceledOutput covers methods that have output beside their error (Random), and the
// import of wrapped material, which uses a second key.
func canceledOutput(t tb, s *subject, canceled context.Context) {
	if s.info.Random {
		p := make([]byte, 32)
		wantBare(t, s.Driver.(driver.Random).Random(canceled, p), "Random with a canceled context", context.Canceled)
		if [32]byte(p) != [32]byte{} {
			t.Errorf("a canceled Random wrote to its buffer")
		}
	}
	eachWrapping(t, s, func(d driver.WrappedImporter, w wrapping) {
		for _, row := range s.samples() {
			for _, alg := range row.WrappedImport {
				ciphertext, ok := wrap(w.public, alg, s.encoded(t, row.Spec.Algorithm))
				if !ok {
					continue
				}
				_, err := d.ImportWrapped(canceled, freshID(), row.Spec, driver.Wrapped{With: w.opened, Alg: alg, Ciphertext: ciphertext})
				wantBare(t, err, "ImportWrapped with a canceled context", context.Canceled)
			}
		}
	})
}
