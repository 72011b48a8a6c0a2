package clock_test

import (
	"runtime"
	"testing"
	"time"

	"strongroom.example/internal/clock"
	"strongroom.example/internal/testing/poll"
)

func TestSystem(t *testing.T) {
	c, d := clock.System(), clock.System()
	first := clock.BootOf(c)
	var second clock.Boot
	poll.Until(t, "the time since boot advances", func() bool {
		second = clock.BootOf(c)
		return second.Since-first.Since >= 2*time.Millisecond
	})
	if first.ID != second.ID {
		t.Errorf("boot clock: %v then %v", first, second)
	}
	if first.ID == ([16]byte{}) {
		t.Error("boot id is zero")
	}
	if runtime.GOOS == "linux" && clock.BootOf(d).ID != first.ID {
		t.Error("two clocks of one boot differ")
	}
	if now := c.Now(); now.Location() != time.UTC || time.Since(now).Abs() > time.Minute {
		t.Errorf("now is %v", now)
	}
}

func TestFake(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	f := clock.NewFake(start)
	boot := clock.BootOf(f)
	f.Advance(time.Hour)
	if !f.Now().Equal(start.Add(time.Hour)) || clock.BootOf(f).Since != time.Hour || clock.BootOf(f).ID != boot.ID {
		t.Errorf("after an hour: %v, %v", f.Now(), clock.BootOf(f))
	}
	f.Set(start)
	if !f.Now().Equal(start) || clock.BootOf(f).Since != time.Hour {
		t.Errorf("set back: %v, %v", f.Now(), clock.BootOf(f))
	}
	f.Reboot()
	if clock.BootOf(f).ID == boot.ID || clock.BootOf(f).Since != 0 || !f.Now().Equal(start) {
		t.Errorf("rebooted: %v, %v", f.Now(), clock.BootOf(f))
	}
}
