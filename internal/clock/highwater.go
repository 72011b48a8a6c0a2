package clock

import (
	"sync"
	"time"
)

// Leap is how far the time of day may be ahead of the time that is expected before it is in
// doubt, and how long it must then stay ahead to be accepted.
const Leap = 24 * time.Hour

// A HighWater is a Clock whose Now never goes back, so that setting the time of day back
// does not make an expired item valid again. While the machine is up, its time advances
// with the time since boot, whatever is done to the time of day.
//
// A time of day that is more than Leap ahead of the expected time is in doubt: the machine
// may have been off, or its clock may be wrong. Now returns it, but it becomes part of the
// mark only after it has stayed ahead for Leap of the time since boot, or by Confirm. If the
// time of day returns to what was expected before that, Now returns to it too.
type HighWater struct {
	clock Clock
	mu    sync.Mutex
	mark  Mark // the latest time without doubt
	ahead Mark // the latest time in doubt, if doubt
	doubt bool
	since Boot // when the doubt began
}

// A Mark is the latest observed time, and the time since boot at which it was observed. A
// caller stores it across restarts, and passes it to NewHighWater.
type Mark struct {
	Time time.Time
	Boot Boot
}

// at returns the mark advanced to b by the time since boot.
func (m Mark) at(b Boot) Mark {
	if b.ID == m.Boot.ID {
		b.Since = max(b.Since, m.Boot.Since) // otherwise a step back would be counted twice
		m.Time = m.Time.Add(b.Since - m.Boot.Since)
	}
	return Mark{Within(m.Time), b}
}

// NewHighWater returns a HighWater over c that is never before m, and never after Last. The
// zero Mark is before everything.
func NewHighWater(c Clock, m Mark) *HighWater { return &HighWater{clock: c, mark: m} }

// Now returns the later of the time of day and the latest observed time advanced by the
// time since boot.
func (h *HighWater) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.read()
	if h.doubt {
		return h.ahead.Time
	}
	return h.mark.Time
}

// Boot returns the underlying clock's Boot.
func (h *HighWater) Boot() (id [16]byte, since time.Duration) { return h.clock.Boot() }

// Mark reads the time and returns the latest time without doubt.
func (h *HighWater) Mark() Mark {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.read()
	return h.mark
}

// InDoubt reports whether the time of day is in doubt.
func (h *HighWater) InDoubt() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.read()
	return h.doubt
}

// Confirm makes m, an earlier result of Now with its Boot, part of the mark.
func (h *HighWater) Confirm(m Mark) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.Time.After(h.mark.at(m.Boot).Time) {
		h.mark, h.doubt = m, false
	}
}

// Leapt reports how far the mark is from m advanced by the time since boot.
func (h *HighWater) Leapt(m Mark) time.Duration {
	now := h.Mark()
	return now.Time.Sub(m.at(now.Boot).Time).Abs()
}

// SetBack makes m, an earlier time than Now, the mark.
func (h *HighWater) SetBack(m Mark) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mark, h.doubt = Mark{Within(m.Time), m.Boot}, false
}

// read updates the marks from the underlying clock. The caller holds h.mu.
func (h *HighWater) read() {
	now, boot := Within(h.clock.Now()), BootOf(h.clock)
	first := h.mark.Time.IsZero()
	h.mark = h.mark.at(boot)
	switch {
	case first || !now.After(h.mark.Time.Add(Leap)):
		h.doubt = false
	case !h.doubt:
		h.doubt, h.since, h.ahead = true, boot, Mark{now, boot}
		return
	case boot.ID == h.since.ID && boot.Since-h.since.Since >= Leap:
		h.doubt = false
	default:
		if h.ahead = h.ahead.at(boot); now.After(h.ahead.Time) {
			h.ahead.Time = now
		}
		return
	}
	if now.After(h.mark.Time) {
		h.mark.Time = now
	}
}
