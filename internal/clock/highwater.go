package clock

import (
	"sync"
	"time"
)

// A HighWater is a Clock whose Now never goes back, so that setting the time of day back
// does not make an expired item valid again. While the machine is up, its time advances
// with the time since boot, whatever is done to the time of day.
type HighWater struct {
	clock Clock
	mu    sync.Mutex
	mark  Mark
}

// A Mark is the latest observed time, and the time since boot at which it was observed. A
// caller stores it across restarts, and passes it to NewHighWater.
type Mark struct {
	Time time.Time
	Boot Boot
}

// NewHighWater returns a HighWater over c that is never before m, and never after Last. The
// zero Mark is before everything.
func NewHighWater(c Clock, m Mark) *HighWater { return &HighWater{clock: c, mark: m} }

// Now returns the later of the time of day and the latest observed time advanced by the
// time since boot.
func (h *HighWater) Now() time.Time { return h.Mark().Time }

// Boot returns the underlying clock's Boot.
func (h *HighWater) Boot() Boot { return h.clock.Boot() }

// Mark reads the time and returns it as a Mark.
func (h *HighWater) Mark() Mark {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, boot := h.clock.Now(), h.clock.Boot()
	carried := h.mark.Time
	if boot.ID == h.mark.Boot.ID {
		boot.Since = max(boot.Since, h.mark.Boot.Since) // otherwise a step back would be counted twice
		carried = carried.Add(boot.Since - h.mark.Boot.Since)
	}
	if carried.After(now) {
		now = carried
	}
	h.mark = Mark{Within(now), boot}
	return h.mark
}
