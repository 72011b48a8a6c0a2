package drivertest

import (
	"context"
	"errors"
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
		works(t, s.Driver, k.createdKey, "after its destruction was canceled")
		closeKey(t, k.opened)
		s.discard(t, k.createdKey)
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
		if err := use(context.Background(), k.createdKey, k.opened); err != nil {
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

// A Hanger is a driver whose device can be made to hang, for the check that a deadline
// ends the caller's wait. The check passes over a driver that is not a Hanger.
type Hanger interface {
	driver.Driver
	// Hang makes calls into the device hang until release is called.
	Hang() (release func())
}

const (
	// hangDeadline is the deadline of a call that hangs. hangLimit is how long after the
	// call the check waits before it fails.
	hangDeadline = 20 * time.Millisecond
	hangLimit    = 10 * time.Second
)

// deadlineEndsWait uses a key of each usage while the device hangs. A call that does not
// need the hanging part may succeed.
func deadlineEndsWait(t tb, s *subject) {
	device, ok := s.Driver.(Hanger)
	if !ok {
		return
	}
	for _, row := range s.samples() {
		k := makeKey(t, s.Driver, row)
		opened := openKey[driver.Key](t, s.Driver, k)
		release := device.Hang()
		returned := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), hangDeadline)
			defer cancel()
			returned <- use(ctx, k, opened)
		}()
		select {
		case err := <-returned:
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v: use while the device hangs: %v, want DeadlineExceeded", row.Spec, err)
			}
			release()
		case <-time.After(hangLimit):
			t.Errorf("%v: use while the device hangs returns after its deadline", row.Spec)
			release()
			<-returned
		}
		closeKey(t, opened)
		s.discard(t, k)
	}
}
