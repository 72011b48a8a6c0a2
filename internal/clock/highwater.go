package clock

import (
	"sync"
	"time"
)

// A HighWater is a Clock whose Now never goes back: setting the time of day back
// does not make an expired thing valid again. While the machine is up its time goes
// on with the time since boot, whatever becomes of the time of day.
type HighWater struct {
	clock Clock
	mu    sync.Mutex
	mark  Mark
}

// A Mark is the latest time that was seen, and where in a boot. Kept across
// restarts, it gives the next HighWater its start.
type Mark struct {
	Time time.Time
	Boot Boot
}

// NewHighWater returns a HighWater over c that is never before m, and never after Last. The
// zero Mark is before everything.
func NewHighWater(c Clock, m Mark) *HighWater { return &HighWater{clock: c, mark: m} }

// Now returns the latest of the time of day and what was ever seen, plus the time
// since then.
func (h *HighWater) Now() time.Time { return h.Mark().Time }

// Boot is the underlying clock's.
func (h *HighWater) Boot() Boot { return h.clock.Boot() }

// Mark takes the time and returns it as something to keep.
func (h *HighWater) Mark() Mark {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, boot := h.clock.Now(), h.clock.Boot()
	carried := h.mark.Time
	if boot.ID == h.mark.Boot.ID {
		boot.Since = max(boot.Since, h.mark.Boot.Since) // or a step back would be made up for twice
		carried = carried.Add(boot.Since - h.mark.Boot.Since)
	}
	if carried.After(now) {
		now = carried
	}
	h.mark = Mark{Within(now), boot}
	return h.mark
}
