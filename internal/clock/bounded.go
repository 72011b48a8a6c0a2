package clock

import "time"

// Last is the last moment that a stored record can name: RFC 3339 has years of four digits.
var Last = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)

// Bounded returns c with a time of day that records can name, whatever c shows: from the
// year 1 to Last. A clock that is set beyond it stands still there.
func Bounded(c Clock) Clock { return bounded{c} }

type bounded struct{ Clock }

func (b bounded) Now() time.Time { return Within(b.Clock.Now()) }

// Within returns t, or the nearest moment that records can name.
func Within(t time.Time) time.Time {
	switch t = t.UTC(); {
	case t.After(Last):
		return Last
	case t.Before(time.Time{}):
		return time.Time{}
	}
	return t
}
