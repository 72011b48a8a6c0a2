package clock

import "time"

// Last is the latest time that a stored record can hold, because years in RFC 3339 have
// four digits.
var Last = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)

// Bounded returns c with its time of day limited to the range that records can hold: from
// the year 1 to Last. Beyond the range the time stands still.
func Bounded(c Clock) Clock { return bounded{c} }

type bounded struct{ Clock }

func (b bounded) Now() time.Time { return Within(b.Clock.Now()) }

// Within returns t, or the nearest time that records can hold.
func Within(t time.Time) time.Time {
	switch t = t.UTC(); {
	case t.After(Last):
		return Last
	case t.Before(time.Time{}):
		return time.Time{}
	}
	return t
}
