package clock_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"strongroom.example/internal/clock"
)

// TestBounded checks that a record can hold the time, whatever the clock shows and
// however it advances from the end of the range.
func TestBounded(t *testing.T) {
	for _, at := range []time.Time{
		{}, time.Unix(0, 0), clock.Last, clock.Last.Add(1), clock.Last.AddDate(100_000, 0, 0), time.Unix(math.MaxInt64, 0), time.Unix(math.MinInt64, 0),
		time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("west", -12*3600)),
	} {
		fake := clock.NewFake(at)
		high := clock.NewHighWater(clock.Bounded(fake), clock.Mark{Time: at})
		for range 3 {
			for name, now := range map[string]time.Time{"Bounded": clock.Bounded(fake).Now(), "HighWater": high.Now()} {
				if _, err := json.Marshal(now); err != nil || now.After(clock.Last) {
					t.Errorf("%s of a clock at %v returned %v: %v, want a time that a record can name", name, at, now, err)
				}
			}
			fake.Advance(24 * time.Hour)
		}
	}
}
