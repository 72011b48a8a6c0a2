package drivertest

import (
	"context"
	"sync"

	"strongroom.example/driver"
	"strongroom.example/internal/gate"
)

// Faulty wraps a driver and makes its calls fail, block, die after acting or take long,
// according to the faults of [Faulty.Add]. Without faults it is transparent. It has every
// optional interface; the methods that the inner driver lacks fail with Unsupported. Info
// is the inner driver's, so that a caller that reads it sees no difference.
//
// Keys that it opens are faulty too, and so are protectors that [Faulty.Protector] wraps.
// A call whose context is done is neither counted nor passed on. Faults do not apply to
// Info, nor to Close of the driver and of keys. A Faulty is safe for concurrent use.
type Faulty struct {
	inner driver.Driver
	gate  gate.Gate

	mu      sync.Mutex
	faults  []*counted
	calls   map[Method]int
	total   int
	waiting int
}

// counted is a fault with the number of calls that it has counted.
type counted struct {
	Fault
	seen int
}

var (
	_ driver.Driver          = (*Faulty)(nil)
	_ driver.Importer        = (*Faulty)(nil)
	_ driver.WrappedImporter = (*Faulty)(nil)
	_ driver.Lister          = (*Faulty)(nil)
	_ driver.Random          = (*Faulty)(nil)
	_ driver.Counter         = (*Faulty)(nil)
)

// NewFaulty returns a Faulty over inner. Close closes inner.
func NewFaulty(inner driver.Driver) *Faulty {
	return &Faulty{inner: inner, calls: make(map[Method]int)}
}

// Add adds a fault. If several faults apply to a call, the one added first takes effect.
func (f *Faulty) Add(x Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, &counted{Fault: x})
}

// Clear removes all faults. Calls that already wait continue to wait.
func (f *Faulty) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// Calls returns how often a method was called, or the number of all calls if m is empty.
// Calls that a fault ended are included.
func (f *Faulty) Calls(m Method) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m == "" {
		return f.total
	}
	return f.calls[m]
}

// Waiting returns how many calls are presently held by a fault.
func (f *Faulty) Waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waiting
}

// next counts a call and returns the fault that takes effect. Every fault counts every
// call that it applies to, whichever takes effect.
func (f *Faulty) next(m Method) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[m]++
	f.total++
	var picked *counted
	for _, x := range f.faults {
		if x.Method != "" && x.Method != m {
			continue
		}
		x.seen++
		if picked == nil && (x.Nth == 0 || x.Nth == x.seen) {
			picked = x
		}
	}
	if picked == nil {
		return Fault{}
	}
	return picked.Fault
}

// do runs one call under its fault.
func (f *Faulty) do(ctx context.Context, m Method, act func() error) error {
	if err := enter(ctx, &f.gate, string(m)); err != nil {
		return err
	}
	defer f.gate.Leave()
	x := f.next(m)
	f.wait(1)
	err := x.wait(ctx)
	f.wait(-1)
	if err != nil {
		return err
	}
	if x.Fail && !x.After {
		return x.err(m)
	}
	if err := act(); err != nil {
		return err
	}
	return x.err(m)
}

func (f *Faulty) wait(by int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting += by
}

// create runs a call that creates material. A fault discards its result.
func (f *Faulty) create(ctx context.Context, m Method, act func() (driver.Created, error)) (driver.Created, error) {
	var made driver.Created
	err := f.do(ctx, m, func() (err error) {
		made, err = act()
		return err
	})
	if err != nil {
		return driver.Created{}, err
	}
	return made, nil
}

// Info returns the inner driver's.
func (f *Faulty) Info() driver.Info { return f.inner.Info() }

// GenerateKey calls the inner driver's GenerateKey.
func (f *Faulty) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	return f.create(ctx, MethodGenerateKey, func() (driver.Created, error) { return f.inner.GenerateKey(ctx, id, spec) })
}

// OpenKey calls the inner driver's OpenKey. If a fault discards the key, OpenKey closes
// it.
func (f *Faulty) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	var key driver.Key
	err := f.do(ctx, MethodOpenKey, func() (err error) {
		key, err = f.inner.OpenKey(ctx, id, spec, blob)
		return err
	})
	if err == nil {
		return f.wrap(key), nil
	}
	if key != nil {
		key.Close()
	}
	return nil, err
}

// DestroyKey calls the inner driver's DestroyKey.
func (f *Faulty) DestroyKey(ctx context.Context, id driver.MaterialID, blob driver.Blob) error {
	return f.do(ctx, MethodDestroyKey, func() error { return f.inner.DestroyKey(ctx, id, blob) })
}

// Close waits for running calls, including those that a fault holds, and closes the inner
// driver. No fault applies to it.
func (f *Faulty) Close() error {
	f.gate.Shut()
	return f.inner.Close()
}

// Protector wraps a protector. The faults of f apply to it as to a key. A device that
// also protects roots thus fails as one device.
func (f *Faulty) Protector(inner driver.Protector) driver.Protector {
	p := faultyProtector{inner, f}
	if d, ok := inner.(driver.Discarder); ok {
		return faultyDiscarder{p, d}
	}
	return p
}

// A faultyProtector is a protector of a Faulty.
type faultyProtector struct {
	driver.Protector
	of *Faulty
}

func (p faultyProtector) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	var blob driver.Blob
	err := p.of.do(ctx, MethodProtect, func() (err error) {
		blob, err = p.Protector.Protect(ctx, b, root)
		return err
	})
	if err != nil {
		return nil, err
	}
	return blob, nil
}

func (p faultyProtector) Recover(ctx context.Context, dst []byte, b driver.Binding, blob driver.Blob) ([]byte, error) {
	return p.of.output(ctx, MethodRecover, dst, func() ([]byte, error) { return p.Protector.Recover(ctx, dst, b, blob) })
}

// A faultyDiscarder is a faultyProtector whose inner protector is a driver.Discarder. The
// faults do not apply to Discard.
type faultyDiscarder struct {
	faultyProtector
	driver.Discarder
}
