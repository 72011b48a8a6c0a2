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
// it, with all its drivers together. 63 such processes keep within maxSealings.
const unrecorded = 1 << 26

var errSealings = errors.New("the key has sealed as often as is safe: use another")

// A budget is how often this driver may still seal with a key: what the token has
// reserved for it.
type budget struct {
	left atomic.Int64

	lock lock // guards what follows, and refilling
	step int64
	// without is what the process may seal with no record.
	without *atomic.Int64
	refused bool // the token does not remember: there is no more than that
	spent   bool // by what the token remembers there is no more at all
}

func newBudget(without *atomic.Int64) *budget {
	return &budget{lock: newLock(), step: firstStep, without: without}
}

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
	case b.spent:
		return fault("Seal", driver.Invalid, errSealings)
	}
	if !b.refused {
		err := reserve(b.step)
		b.spent = errors.Is(err, errSealings)
		if b.refused = mayNotWrite(err); !b.refused {
			if err == nil {
				b.left.Store(b.step)
				b.step = min(2*b.step, lastStep)
			}
			return err
		}
	}
	if b.without.Add(-firstStep) < 0 {
		return fault("Seal", driver.Invalid, errSealings)
	}
	b.left.Store(firstStep)
	return nil
}

// mayNotWrite reports whether an error says that the token takes no record, now and the
// next time. Whatever else it says of one is no reason to go without.
func mayNotWrite(err error) bool {
	return errors.Is(err, driver.Unsupported) || errors.Is(err, driver.Denied)
}

// A budgetBook has one budget for each key, for all its handles together.
type budgetBook struct {
	mu   sync.Mutex
	keys map[driver.MaterialID]*budget
}

func (c *budgetBook) of(id driver.MaterialID, without *unrecordedBook) *budget {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil {
		c.keys = make(map[driver.MaterialID]*budget)
	}
	if c.keys[id] == nil {
		c.keys[id] = newBudget(without.of(id))
	}
	return c.keys[id]
}

// An unrecordedBook has what the process may still seal with each key of a token with
// no record.
type unrecordedBook struct {
	mu   sync.Mutex
	keys map[driver.MaterialID]*atomic.Int64
}

func (c *unrecordedBook) of(id driver.MaterialID) *atomic.Int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil {
		c.keys = make(map[driver.MaterialID]*atomic.Int64)
	}
	if c.keys[id] == nil {
		c.keys[id] = new(atomic.Int64)
		c.keys[id].Store(unrecorded)
	}
	return c.keys[id]
}
