package clock

import (
	"sync"
	"time"
)

// A Fake is a Clock that advances only when a test moves it.
type Fake struct {
	mu   sync.Mutex
	now  time.Time
	boot Boot
}

// NewFake returns a Fake that shows t, on a machine that was just booted.
func NewFake(t time.Time) *Fake {
	return &Fake{now: t.UTC(), boot: Boot{ID: [16]byte{1}}}
}

// Now returns the time of day.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Boot returns the id of the boot and the time since then.
func (f *Fake) Boot() (id [16]byte, since time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.boot.ID, f.boot.Since
}

// Advance moves both times forward by d, which must not be negative.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
	f.boot.Since += d
}

// Set changes the time of day only, as an operator or the network does.
func (f *Fake) Set(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = t.UTC()
}

// Reboot starts a new boot. The time of day continues.
func (f *Fake) Reboot() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.boot.ID[0]++
	f.boot.Since = 0
}
