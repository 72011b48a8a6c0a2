package drivertest

import (
	"context"
	"errors"
	"time"

	"strongroom.example/driver"
)

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
