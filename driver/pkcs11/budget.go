//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"strongroom.example/driver"
)

// maxSealings is how often a key seals in its life: SP 800-38D, 8.3, allows 2^32
// invocations with random ivs, in all processes and for ever. What is left out is for
// the few texts of its own that an import seals to check a key. A call that is made
// again after a repair counts once; no ciphertext came of the first.
const maxSealings = 1<<32 - 1<<26

// Sealings are reserved in steps. The first of a process is small, so that restarts
// waste little, and the next are larger, so that the token is asked rarely.
const (
	firstStep = 1 << 16
	lastStep  = 1 << 26
)

// unrecorded is how often a process seals with a key if the token refuses to remember
// it. 63 such processes keep within maxSealings.
const unrecorded = 1 << 26

var errSealings = errors.New("the key has sealed as often as is safe: use another")

// A budget is how often this driver may still seal with a key: what the token has
// reserved for it.
type budget struct {
	left atomic.Int64

	lock lock // guards what follows, and refilling
	step int64
	last bool // there is no more after what is left
}

func newBudget() *budget { return &budget{lock: newLock(), step: firstStep} }

// take takes one sealing, if one is left.
func (b *budget) take() bool { return b.left.Add(-1) >= 0 }

// refill reserves the next step. Who waited for another to do so finds it done.
func (b *budget) refill(ctx context.Context, reserve func(n int64) error) error {
	if err := b.lock.take(ctx); err != nil {
		return err
	}
	defer b.lock.give()
	switch {
	case b.left.Load() > 0:
		return nil
	case b.last:
		return fault("Seal", driver.Invalid, errSealings)
	}
	err := reserve(b.step)
	b.last = err != nil && refused(err)
	switch {
	case err == nil:
		b.left.Store(b.step)
		b.step = min(2*b.step, lastStep)
	case b.last && !errors.Is(err, errSealings):
		b.left.Store(unrecorded)
		return nil
	}
	return err
}

// refused reports whether an error will be the same the next time.
func refused(err error) bool {
	return errors.Is(err, driver.Invalid) || errors.Is(err, driver.Unsupported) || errors.Is(err, driver.Denied)
}

// A budgetBook has one budget for each key, for all its handles together.
type budgetBook struct {
	mu   sync.Mutex
	keys map[driver.MaterialID]*budget
}

func (c *budgetBook) of(id driver.MaterialID) *budget {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil {
		c.keys = make(map[driver.MaterialID]*budget)
	}
	if c.keys[id] == nil {
		c.keys[id] = newBudget()
	}
	return c.keys[id]
}
