package drivertest

import (
	"context"
	"sync"
	"time"

	"strongroom.example/driver"
)

func closeMutants() []mutant {
	return []mutant{
		{name: "Close does not wait", open: func() driver.Driver { return &hasty{Memory: smallMemory(), closing: make(chan struct{})} },
			caught: []string{"CloseWaits"}},
		{name: "Close does nothing", open: over(func(m *Memory) deaf { return deaf{m} }),
			caught: []string{"UseAfterClose", "CloseWaits"}},
		{name: "Close again is an error", open: over(func(m *Memory) *closeOnce { return &closeOnce{Memory: m} }),
			caught: []string{"CloseTwice"}},
		{name: "key works after its Close", open: withKeys(func(k memoryPRF) driver.Key { return openForever{k} }),
			caught: []string{"UseAfterKeyClose"}},
		{name: "Close of one handle closes another", open: withKeys(sharedGates()),
			caught: []string{"UseAfterKeyClose"}},
	}
}

// A hasty driver returns from Close at once. Its PRF takes a while, and longer than
// the suite's grace when it is closed meanwhile.
type hasty struct {
	*Memory
	closing chan struct{}
	once    sync.Once
}

func (d *hasty) Close() error {
	d.once.Do(func() { close(d.closing) })
	d.gate.mu.Lock()
	defer d.gate.mu.Unlock()
	d.gate.shut = true
	return nil
}

func (d *hasty) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	opened, err := d.Memory.OpenKey(ctx, id, spec, blob)
	if k, ok := opened.(memoryPRF); ok {
		return slowPRF{k, d.closing}, nil
	}
	return opened, err
}

type slowPRF struct {
	memoryPRF
	closing <-chan struct{}
}

func (k slowPRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	if err := k.enter(ctx, "PRF"); err != nil {
		return dst, err
	}
	defer k.leave()
	if len(input) > maxPRFInput {
		return dst, failure("PRF", driver.Invalid, errLength)
	}
	time.Sleep(5 * time.Millisecond)
	select {
	case <-k.closing:
		time.Sleep(closeGrace + closeGrace/2)
	default:
	}
	return prf(k.row.Spec.Algorithm, dst, k.material.raw, input), nil
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

// sharedGates opens every second key behind the gate of the one before.
func sharedGates() func(memoryPRF) driver.Key {
	var mu sync.Mutex
	var last *gate
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
