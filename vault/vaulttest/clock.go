package vaulttest

import (
	"fmt"
	"sync"
	"time"

	"strongroom.example/internal/clock"
)

// A Clock is a vault.Clock that a test sets. While a vault is open with it, a method that
// moves the time returns only after the vault has run what became due by that: expiries,
// destructions, rotations, backups and scrubs. What became due several times, as during a
// long sleep of the machine, runs once.
//
// The methods that move the time must not be called by an Authorizer, a driver or a
// protector, because the vault may wait for these.
type Clock struct {
	fake    *clock.Fake
	mu      sync.Mutex // held while the vaults run what is due
	next    int
	waiting map[int]func()
}

// NewClock returns a Clock that shows t, on a machine that was just booted.
func NewClock(t time.Time) *Clock {
	return &Clock{fake: clock.NewFake(t), waiting: map[int]func(){}}
}

// Now returns the time of day, in UTC.
func (c *Clock) Now() time.Time { return c.fake.Now() }

// Boot returns the id of the boot and the time since then.
func (c *Clock) Boot() (id [16]byte, since time.Duration) { return c.fake.Boot() }

// Advance lets d pass. It panics if d is negative; Set sets the time of day back.
func (c *Clock) Advance(d time.Duration) {
	if d < 0 {
		panic(fmt.Sprintf("vaulttest: Advance by %v", d))
	}
	c.move(func() { c.fake.Advance(d) })
}

// Set sets the time of day, as an operator or the network does. The time since boot stays. A
// vault distrusts a time of day that is more than a day ahead of the time that it expects;
// see vault.Client.ConfirmTime.
func (c *Clock) Set(t time.Time) { c.move(func() { c.fake.Set(t) }) }

// Reboot starts a new boot with the time of day t. Close the vaults before, and open them
// afterwards.
func (c *Clock) Reboot(t time.Time) {
	c.move(func() {
		c.fake.Reboot()
		c.fake.Set(t)
	})
}

func (c *Clock) move(by func()) {
	by()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.waiting {
		f()
	}
}

// Notify makes the clock call f after each move, and wait for it, until stop is called.
// Package vault calls it.
func (c *Clock) Notify(f func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	n := c.next
	c.waiting[n] = f
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, n)
	}
}
