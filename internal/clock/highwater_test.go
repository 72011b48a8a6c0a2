package clock_test

import (
	"testing"
	"time"

	"strongroom.example/internal/clock"
)

func TestHighWater(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := clock.NewFake(start)
	h := clock.NewHighWater(f, clock.Mark{})
	check := func(what string, want time.Time) {
		t.Helper()
		if got := h.Now(); !got.Equal(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("at first", start)
	f.Set(start.Add(-48 * time.Hour))
	check("set back", start)
	f.Advance(time.Hour)
	check("an hour after it was set back", start.Add(time.Hour))
	f.Reboot()
	check("rebooted", start.Add(time.Hour))
	f.Advance(time.Minute)
	check("a minute after the boot", start.Add(time.Hour+time.Minute))

	mark := h.Mark()
	f.Advance(time.Minute)
	h = clock.NewHighWater(f, mark)
	check("opened again in the same boot", start.Add(time.Hour+2*time.Minute))
	f.Reboot()
	h = clock.NewHighWater(f, mark)
	check("opened again after a boot", mark.Time)
	f.Set(start.Add(240 * time.Hour))
	check("set forward", start.Add(240*time.Hour))
}
