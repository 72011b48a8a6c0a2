package clock_test

import (
	"runtime"
	"testing"
	"time"

	"strongroom.example/internal/clock"
)

func TestSystem(t *testing.T) {
	c, d := clock.System(), clock.System()
	first := c.Boot()
	time.Sleep(2 * time.Millisecond)
	second := c.Boot()
	if first.ID != second.ID || second.Since-first.Since < 2*time.Millisecond {
		t.Errorf("boot clock: %v then %v", first, second)
	}
	if first.ID == ([16]byte{}) {
		t.Error("boot id is zero")
	}
	if runtime.GOOS == "linux" && d.Boot().ID != first.ID {
		t.Error("two clocks of one boot differ")
	}
	if now := c.Now(); now.Location() != time.UTC || time.Since(now).Abs() > time.Minute {
		t.Errorf("now is %v", now)
	}
}

func TestFake(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	f := clock.NewFake(start)
	boot := f.Boot()
	f.Advance(time.Hour)
	if !f.Now().Equal(start.Add(time.Hour)) || f.Boot().Since != time.Hour || f.Boot().ID != boot.ID {
		t.Errorf("after an hour: %v, %v", f.Now(), f.Boot())
	}
	f.Set(start)
	if !f.Now().Equal(start) || f.Boot().Since != time.Hour {
		t.Errorf("set back: %v, %v", f.Now(), f.Boot())
	}
	f.Reboot()
	if f.Boot().ID == boot.ID || f.Boot().Since != 0 || !f.Now().Equal(start) {
		t.Errorf("rebooted: %v, %v", f.Now(), f.Boot())
	}
}
