package drivertest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/gate"
)

func closeMutants() []mutant {
	return []mutant{
		{name: "Close does not wait", open: func() driver.Driver { return &hasty{Memory: smallMemory(), closing: make(chan struct{})} },
			caught: []string{"CloseWaits"}},
		{name: "Close does nothing", open: over(func(m *Memory) deaf { return deaf{m} }),
			caught: []string{"UseAfterClose", "CloseWaits"}},
		{name: "Close again is an error", open: over(func(m *Memory) *closeOnce { return &closeOnce{Memory: m} }),
			caught: []string{"CloseTwice"}},
		{name: "Close of a key does not wait", open: withKeys(func(k memoryPRF) driver.Key { return &hastyKey{slowPRF: newSlowPRF(k, make(chan struct{}))} }),
			caught: []string{"KeyCloseWaits"}},
		{name: "key works after its Close", open: withKeys(func(k memoryPRF) driver.Key { return openForever{k} }),
			caught: []string{"UseAfterKeyClose"}},
		{name: "Close of one handle closes another", open: withKeys(sharedGates()),
			caught: []string{"UseAfterKeyClose"}},
	}
}

// A hasty driver returns from Close at once, while calls of PRF are running.
type hasty struct {
	*Memory
	closing chan struct{}
	once    sync.Once
}

func (d *hasty) Close() error {
	d.once.Do(func() { close(d.closing) })
	d.gate.Close()
	return nil
}

func (d *hasty) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	opened, err := d.Memory.OpenKey(ctx, id, spec, blob)
	if k, ok := opened.(memoryPRF); ok {
		return newSlowPRF(k, d.closing), nil
	}
	return opened, err
}

// A slowPRF takes a while, and longer if calls overlap, so that Close finds a running
// call.
type slowPRF struct {
	memoryPRF
	closing chan struct{}
	running *atomic.Int32
}

func newSlowPRF(k memoryPRF, closing chan struct{}) slowPRF {
	return slowPRF{k, closing, new(atomic.Int32)}
}

func (k slowPRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	if err := k.enter(ctx, "PRF"); err != nil {
		return dst, err
	}
	defer k.leave()
	if len(input) > driver.MaxInput {
		return dst, failure("PRF", driver.Invalid, errLength)
	}
	defer k.running.Add(-1)
	k.linger(k.running.Add(1) > 1)
	return prf(k.row.Spec.Algorithm, dst, k.material.raw, input), nil
}

// linger waits for Close for a while, and after Close for longer than the suite's grace.
func (k slowPRF) linger(met bool) {
	while := 5 * time.Millisecond
	if met {
		while = 50 * time.Millisecond
	}
	select {
	case <-k.closing:
		time.Sleep(3 * closeGrace)
	case <-time.After(while):
	}
}

// A hastyKey returns from Close at once.
type hastyKey struct {
	slowPRF
	once sync.Once
}

func (k *hastyKey) Close() error {
	k.once.Do(func() { close(k.closing) })
	k.own.Close()
	return nil
}

type deaf struct{ *Memory }

func (deaf) Close() error { return nil }

type closeOnce struct {
	*Memory
	closed bool
}

func (d *closeOnce) Close() error {
	if d.closed {
		return failure("Close", driver.Invalid, errClosed)
	}
	d.closed = true
	return d.Memory.Close()
}

type openForever struct{ memoryPRF }

func (openForever) Close() error { return nil }

// sharedGates opens every second key with the gate of the one before.
func sharedGates() func(memoryPRF) driver.Key {
	var mu sync.Mutex
	var last *gate.Gate
	return func(k memoryPRF) driver.Key {
		mu.Lock()
		defer mu.Unlock()
		if last != nil {
			k.own, last = last, nil
		} else {
			last = k.own
		}
		return k
	}
}
