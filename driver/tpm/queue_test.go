package tpm_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
)

const hmacCommand = 0x155

// slowly delays one kind of command.
func slowly(w *testtoken.Wire, command uint32, takes time.Duration) {
	w.Delay(func(c uint32) time.Duration {
		if c == command {
			return takes
		}
		return 0
	})
}

// background makes n concurrent calls, and returns a function that waits for them.
func background(n int, call func() error) (wait func() []error) {
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range errs {
		all.Go(func() { errs[i] = call() })
	}
	return func() []error { all.Wait(); return errs }
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// waiting waits until the queue has at least the given number of calls.
func waiting(t *testing.T, d *tpm.Driver, calls int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d calls in the queue", calls), func() bool { return d.Waiting() >= calls })
}

// occupied makes a call, and returns when the TPM works on it.
func occupied(t *testing.T, w *testtoken.Wire, call func() error) (wait func() []error) {
	t.Helper()
	before := w.Count()
	wait = background(1, call)
	eventually(t, "the call's first command", func() bool { return w.Count() > before })
	return wait
}

// TestThrottledBeforeDeadline checks that a call that cannot be done before its deadline
// is rejected while the TPM still works on another.
func TestThrottledBeforeDeadline(t *testing.T) {
	d, w, _ := openWired(t)
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	slowly(w, hmacCommand, 40*time.Millisecond)
	for range 8 {
		prf(t, k) // the queue learns the duration
	}
	call := func(ctx context.Context) error {
		_, err := k.PRF(ctx, nil, []byte("question"))
		return err
	}
	release := w.Hold(hmacCommand)
	defer release()
	wait := background(8, func() error { return call(context.Background()) })
	waiting(t, d, 7)
	ctx, cancel := context.WithTimeout(context.Background(), 250*time.Millisecond) // eight calls take 320 ms
	defer cancel()
	if err := call(ctx); !errors.Is(err, driver.Throttled) {
		t.Errorf("PRF with a deadline before its turn: %v, want Throttled", err)
	}
	release()
	long, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := call(long); err != nil {
		t.Errorf("PRF with a late deadline: %v", err)
	}
	if err := errors.Join(wait()...); err != nil {
		t.Error(err)
	}
}

// TestQueueIsBounded fills the queue.
func TestQueueIsBounded(t *testing.T) {
	w := testtoken.NewWire(newTPM(t).Dial)
	d := openConfig(t, tpm.Config{Dial: dialer(w.Dial), Queue: 2})
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	release := w.Hold(hmacCommand)
	defer release()
	call := func() error {
		_, err := k.PRF(context.Background(), nil, []byte("question"))
		return err
	}
	first := occupied(t, w, call)
	more := background(2, call)
	waiting(t, d, 2)
	if err := call(); !errors.Is(err, driver.Throttled) {
		t.Errorf("a call beyond the limit of the queue: %v, want Throttled", err)
	}
	release()
	if err := errors.Join(append(first(), more()...)...); err != nil {
		t.Error(err)
	}
}

// TestCanceledWhileWaiting ends the context of a waiting call. The call must return while
// the TPM works on another, and must not reach the TPM.
func TestCanceledWhileWaiting(t *testing.T) {
	d, w, _ := openWired(t)
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	release := w.Hold(hmacCommand)
	defer release()
	first := occupied(t, w, func() error {
		_, err := k.PRF(context.Background(), nil, []byte("question"))
		return err
	})
	before := w.Count()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	second := background(1, func() error {
		_, err := k.PRF(ctx, nil, []byte("question"))
		return err
	})
	waiting(t, d, 1)
	cancel()
	if err := second()[0]; err != context.Canceled {
		t.Errorf("PRF with a canceled context: %v, want context.Canceled", err)
	}
	release()
	if err := errors.Join(first()...); err != nil {
		t.Error(err)
	}
	if n := w.Count() - before; n != 0 {
		t.Errorf("a canceled call sent %d commands, want 0", n)
	}
}

// TestPriorities queues a key generation, a use of a key and a Health call, in that order,
// while the TPM is busy. They must reach the TPM in the reverse order.
func TestPriorities(t *testing.T) {
	d, w, _ := openWired(t)
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	release := w.Hold(hmacCommand)
	defer release()
	w.Record(true)
	use := func() error {
		_, err := k.PRF(context.Background(), nil, []byte("question"))
		return err
	}
	busy := occupied(t, w, use)
	making := background(1, func() error {
		_, err := d.GenerateKey(context.Background(), driver.MaterialID{1}, p256Spec)
		return err
	})
	waiting(t, d, 1)
	using := background(1, use)
	waiting(t, d, 2)
	asking := background(1, func() error {
		_, err := d.Health(context.Background())
		return err
	})
	waiting(t, d, 3)
	release()
	for _, wait := range []func() []error{busy, making, using, asking} {
		if err := errors.Join(wait()...); err != nil {
			t.Error(err)
		}
	}
	var order []uint32
	for _, e := range w.Log() {
		order = append(order, e.Code())
	}
	// PRF, Health (two commands), PRF, GenerateKey.
	if want := []uint32{hmacCommand, 0x17A, 0x181, hmacCommand, 0x153}; !slices.Equal(order, want) {
		t.Errorf("the TPM received the commands %x, want %x", order, want)
	}
}

// TestCommandsPerOperation counts the commands that reach the TPM.
func TestCommandsPerOperation(t *testing.T) {
	d, w, _ := openWired(t)
	count := func(act func()) int {
		before := w.Count()
		act()
		return w.Count() - before
	}
	keys := []driver.PRF{}
	for range 3 {
		keys = append(keys, openAs[driver.PRF](t, d, generate(t, d, hmacSpec)))
	}
	prf(t, keys[0])
	prf(t, keys[1])
	if n := count(func() {
		for i := range 100 {
			prf(t, keys[i%2])
		}
	}); n != 100 {
		t.Errorf("100 operations on two alternating keys sent %d commands", n)
	}
	three := count(func() {
		for i := range 99 {
			prf(t, keys[i%3])
		}
	})
	if three > 3*99 {
		t.Errorf("99 operations on three alternating keys sent %d commands", three)
	}
	batched := count(func() {
		for _, wait := range []func() []error{
			background(33, func() error { _, err := keys[0].PRF(context.Background(), nil, nil); return err }),
			background(33, func() error { _, err := keys[1].PRF(context.Background(), nil, nil); return err }),
			background(33, func() error { _, err := keys[2].PRF(context.Background(), nil, nil); return err }),
		} {
			if err := errors.Join(wait()...); err != nil {
				t.Error(err)
			}
		}
	})
	if batched > 150 {
		t.Errorf("99 concurrent operations on three keys sent %d commands: calls on a loaded key did not go first", batched)
	}
	p := protector(t, d, tpm.Policy{})
	root, blob := seal(t, p)
	unlock := count(func() { opens(t, p, root, blob, "unlock") })
	if unlock > 10 {
		t.Errorf("Recover sent %d commands", unlock)
	}
	d.Close()
	cold := count(func() {
		d := openConfig(t, tpm.Config{Dial: dialer(w.Dial), RootOnly: true})
		opens(t, protector(t, d, tpm.Policy{}), root, blob, "unlock after a restart")
		if len(d.Info().Specs) != 0 {
			t.Error("Info of a TPM opened with RootOnly lists specs")
		}
	})
	if cold > 10 {
		t.Errorf("Open and Recover together sent %d commands, want at most 10", cold)
	}
	t.Logf("commands: 99 operations on three keys in turn %d, at once %d; unlocking %d, with opening the TPM %d", three, batched, unlock, cold)
}
