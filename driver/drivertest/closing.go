package drivertest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"strongroom.example/driver"
)

const (
	// closeLimit is how long Close may wait for running calls before it hangs. Some
	// chips take a minute to make an RSA key.
	closeLimit = 2 * time.Minute
	// closeGrace is how long a call that has left the driver may take to be seen.
	closeGrace = time.Second
	// closePause lies between calls, so that fast ones do not starve the one to Close.
	closePause = 200 * time.Microsecond
)

// closeWaits closes a driver under load. Calls that were running must succeed, and
// be over when Close returns; all others are Unavailable.
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
	var closed atomic.Bool
	var started sync.WaitGroup
	ends := make(chan ending, len(lists))
	for _, list := range lists {
		started.Add(1)
		go func() {
			started.Done()
			ends <- callUntilClosed(list, &closed)
		}()
	}
	started.Wait()
	time.Sleep(30 * time.Millisecond)
	if !closeWithin(t, d, closeLimit) {
		return
	}
	until := time.Now()
	closed.Store(true)
	for range lists {
		end, ok := receive(ends)
		if !ok {
			t.Errorf("a call does not return although the driver is closed")
			return
		}
		wantClass(t, end.err, "a call while the driver closes", driver.Unavailable)
		for _, c := range end.last {
			if c.from.Before(until) && c.to.After(until.Add(closeGrace)) {
				t.Errorf("Close returned %v before %s, which was running", c.to.Sub(until), c.name)
			}
		}
	}
	tidy(t, s, d, keys)
}

// slow names a key that most devices take long to make, so that Close has something
// to wait for.
func (s *subject) slow() (key, bool) {
	i := slices.IndexFunc(s.generated(), func(row driver.SpecInfo) bool { return modulusBits(row.Spec.Algorithm) != 0 })
	if i < 0 {
		return key{}, false
	}
	return key{id: freshID(), row: s.generated()[i]}, true
}

// generation makes a key, again and again under its one id.
func generation(d driver.Driver, k key) operation {
	return operation{"GenerateKey of " + k.row.Spec.String(), func(ctx context.Context) error {
		_, err := d.GenerateKey(ctx, k.id, k.row.Spec)
		return err
	}}
}

// A span is one call, in time.
type span struct {
	name     string
	from, to time.Time
}

// An ending is how a loop of calls ended: its last two calls, and the error of the
// later one.
type ending struct {
	last [2]span
	err  error
}

// callUntilClosed calls in turn until one fails. Calls that go on working after Close
// end it without an error.
func callUntilClosed(list []operation, closed *atomic.Bool) (end ending) {
	for {
		for _, op := range list {
			late, from := closed.Load(), time.Now()
			end.err = op.call(context.Background())
			end.last = [2]span{end.last[1], {op.name, from, time.Now()}}
			if end.err != nil || late {
				return end
			}
			time.Sleep(closePause)
		}
	}
}

func receive(ends <-chan ending) (ending, bool) {
	select {
	case end := <-ends:
		return end, true
	case <-time.After(closeLimit):
		return ending{}, false
	}
}

// tidy destroys the keys of a driver that is closed, so that a device is not filled.
// Without Reopen nothing is left of them.
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

// closeWithin closes d, and reports whether it was done in time.
func closeWithin(t tb, d driver.Driver, limit time.Duration) bool {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- d.Close() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Close: %v", err)
		}
		return true
	case <-time.After(limit):
		t.Errorf("Close hangs")
		return false
	}
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
		t.Errorf("Info changes after Close")
	}
	tidy(t, s, d, keys)
}

func closeTwice(t tb, s *subject) {
	d := s.open(t)
	closeDriver(t, d)
	closeDriver(t, d)
}

// useAfterKeyClose closes a key twice. It must be shut, and no other with it.
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
			t.Errorf("%v: closing one handle spoils another: %v", row.Spec, err)
		}
		closeKey(t, other)
		works(t, s.Driver, k, "after a handle was closed")
	}
}
