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

// TestTimeInDoubt: a time of day that is more than a day ahead counts only after it stayed
// ahead for a day, or after Confirm.
func TestTimeInDoubt(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	year2099 := time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
	f := clock.NewFake(start)
	h := clock.NewHighWater(f, clock.Mark{})
	check := func(what string, now, mark time.Time, doubt bool) {
		t.Helper()
		if got, in := h.Now(), h.InDoubt(); !got.Equal(now) || in != doubt || !h.Mark().Time.Equal(mark) {
			t.Errorf("%s: %v, in doubt %v, mark %v; want %v, %v, %v", what, got, in, h.Mark().Time, now, doubt, mark)
		}
	}
	check("at first", start, start, false)
	f.Set(start.Add(clock.Leap))
	check("a day ahead", start.Add(clock.Leap), start.Add(clock.Leap), false)
	start = start.Add(clock.Leap)
	f.Set(year2099)
	check("73 years ahead", year2099, start, true)
	f.Advance(23 * time.Hour)
	check("after 23 hours", year2099.Add(23*time.Hour), start.Add(23*time.Hour), true)
	f.Set(start.Add(23 * time.Hour))
	check("set right", start.Add(23*time.Hour), start.Add(23*time.Hour), false)

	start = start.Add(23 * time.Hour)
	f.Set(year2099)
	check("ahead again", year2099, start, true)
	f.Advance(24 * time.Hour)
	check("after a day", year2099.Add(24*time.Hour), year2099.Add(24*time.Hour), false)

	f.Reboot()
	h = clock.NewHighWater(f, clock.Mark{Time: start})
	check("opened again years later", year2099.Add(24*time.Hour), start, true)
	h.Confirm(clock.Mark{Time: h.Now(), Boot: clock.BootOf(h)})
	check("confirmed", year2099.Add(24*time.Hour), year2099.Add(24*time.Hour), false)
	f.Set(start)
	check("set back after that", year2099.Add(24*time.Hour), year2099.Add(24*time.Hour), false)
}
