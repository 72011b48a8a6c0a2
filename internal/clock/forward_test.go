package clock

import (
	"sync"
	"testing"
	"time"
)

// TestBootNeverGoesBack checks that, however long a goroutine is suspended between two
// readings, a result is never before another that was available when it was requested,
// and never ahead of the true time.
func TestBootNeverGoesBack(t *testing.T) {
	start := time.Now()
	var mu sync.Mutex
	n := 0
	c := &system{since: func() time.Duration {
		mu.Lock()
		n++
		late := time.Duration(n%3) * 4 * time.Millisecond
		mu.Unlock()
		since := time.Since(start)
		time.Sleep(late)
		return since
	}}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for last := time.Duration(0); last < 200*time.Millisecond; {
				since := BootOf(c).Since
				if since < last || since > time.Since(start) {
					t.Errorf("%v after %v, at %v", since, last, time.Since(start))
					return
				}
				last = since
			}
		})
	}
	all.Wait()
}

// unsteady is a clock whose time since boot jitters, and whose time of day was set back.
type unsteady struct{ n int }

func (u *unsteady) Now() time.Time { return time.Unix(0, 0) }

func (u *unsteady) Boot() (id [16]byte, since time.Duration) {
	u.n++
	return [16]byte{1}, time.Hour + time.Duration(u.n%2)*time.Millisecond
}

func TestHighWaterOverAnUnsteadyClock(t *testing.T) {
	at := time.Unix(1e9, 0)
	h := NewHighWater(&unsteady{}, Mark{at, Boot{[16]byte{1}, time.Hour}})
	for range 1000 {
		h.Now()
	}
	if ahead := h.Now().Sub(at); ahead > time.Millisecond {
		t.Errorf("%v ahead of a clock that stands", ahead)
	}
}
