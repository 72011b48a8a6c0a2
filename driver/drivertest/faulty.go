package drivertest

import (
	"context"
	"sync"

	"strongroom.example/driver"
)

// Faulty wraps a driver and makes its calls fail, block, die after acting or take
// long, as told by [Faulty.Add]. Without faults it is transparent. It has every
// optional interface; where the inner driver lacks one, its methods are
// Unsupported. Info is the inner driver's, so a caller that reads it sees no
// difference.
//
// Keys that it opens are Faulty too, and so are protectors that [Faulty.Protector]
// wraps. A call whose context is done is neither counted nor passed on. Info and the
// Close of drivers and keys are never faulty. It is safe for concurrent use.
type Faulty struct {
	inner driver.Driver
	gate  gate

	mu      sync.Mutex
	faults  []*counted
	calls   map[Method]int
	total   int
	waiting int
}

// counted is a fault and the calls that it has seen.
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

// NewFaulty wraps inner, which Close closes.
func NewFaulty(inner driver.Driver) *Faulty {
	return &Faulty{inner: inner, calls: make(map[Method]int)}
}

// Add adds a fault. Where several concern a call, the first added has it.
func (f *Faulty) Add(x Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, &counted{Fault: x})
}

// Clear takes all faults away. Calls that already wait go on waiting.
func (f *Faulty) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// Calls returns how often a method was called, or any method if m is empty. Calls
// that a fault ended are among them.
func (f *Faulty) Calls(m Method) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m == "" {
		return f.total
	}
	return f.calls[m]
}

// Waiting returns how many calls a fault holds up just now.
func (f *Faulty) Waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waiting
}

// next counts a call and picks its fault. Every fault counts every call that it
// concerns, whichever has it.
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
	if err := f.gate.enter(ctx, string(m)); err != nil {
		return err
	}
	defer f.gate.leave()
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

// create runs a call that makes material. A fault loses its result.
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

// GenerateKey passes through.
func (f *Faulty) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	return f.create(ctx, MethodGenerateKey, func() (driver.Created, error) { return f.inner.GenerateKey(ctx, id, spec) })
}

// OpenKey passes through. A key that a fault loses is closed.
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

// DestroyKey passes through.
func (f *Faulty) DestroyKey(ctx context.Context, id driver.MaterialID, blob driver.Blob) error {
	return f.do(ctx, MethodDestroyKey, func() error { return f.inner.DestroyKey(ctx, id, blob) })
}

// Close waits for running calls, those that a fault holds up among them, and
// closes the inner driver. No fault concerns it.
func (f *Faulty) Close() error {
	f.gate.close()
	return f.inner.Close()
}
