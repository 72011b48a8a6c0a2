package drivertest

import (
	"context"
	"sync"
	"time"

	"strongroom.example/driver"
)

const (
	// closeLimit is how long Close may wait for short calls before it hangs.
	closeLimit = 30 * time.Second
	// closeGrace is how long a call that has left the driver may take to be seen.
	closeGrace = time.Second
)

// A span is one successful call.
type span struct{ from, to time.Time }

// closeWaits closes a driver under load. Calls that were running must succeed, and
// be over when Close returns; all others are Unavailable.
func closeWaits(t tb, s *subject) {
	d := s.open(t)
	keys := openSamples(t, s, d)
	var load sync.WaitGroup
	results := make(chan error, 4*len(keys))
	spans := make(chan span, 4*len(keys))
	for _, k := range keys {
		list := keyOperations(t, k.key, k.opened)
		for range 4 {
			load.Go(func() {
				last, err := callUntilError(list)
				spans <- last
				results <- err
			})
		}
	}
	time.Sleep(30 * time.Millisecond)
	from := time.Now()
	if !closeWithin(t, d, closeLimit) {
		return
	}
	closed := time.Now()
	load.Wait()
	close(results)
	close(spans)
	for err := range results {
		wantClass(t, err, "a call while the driver closes", driver.Unavailable)
	}
	for last := range spans {
		if last.from.Before(from) && last.to.After(closed.Add(closeGrace)) {
			t.Errorf("Close returned %v before a call that was running", last.to.Sub(closed))
		}
	}
}

// callUntilError calls in turn until one fails, and returns the last success.
func callUntilError(list []operation) (last span, err error) {
	for {
		for _, op := range list {
			from := time.Now()
			if err := op.call(context.Background()); err != nil {
				return last, err
			}
			last = span{from, time.Now()}
		}
	}
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

// reopenKeepsKeys uses keys in the driver that comes after a restart.
func reopenKeepsKeys(t tb, s *subject) {
	if s.reopen == nil {
		t.Logf("no Reopen: the keys of this driver are not meant to survive")
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
			t.Errorf("%v: another key after a restart", k.row.Spec)
		}
		closeKey(t, k.opened)
		if err := d.DestroyKey(context.Background(), k.id, k.created.Blob); err != nil {
			t.Errorf("%v: DestroyKey after a restart: %v", k.row.Spec, err)
		}
	}
	closeDriver(t, d)
}

// output is what a derivation key makes of one input; nil for other usages.
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
