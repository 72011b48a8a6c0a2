// Package clock provides the time of day and the time since boot, and lets tests control
// both.
package clock

import "time"

// A Clock is the source of all the vault's times. It is safe for concurrent use.
type Clock interface {
	// Now returns the time of day in UTC. An operator or the network can set it back.
	Now() time.Time
	// Boot returns the id of the machine's boot and the time since boot, which cannot be set
	// back while the machine is up; see type Boot.
	Boot() (id [16]byte, since time.Duration)
}

// A Notifier is a Clock that a test moves.
type Notifier interface {
	// Notify makes the clock call f after each move, and wait for it, until stop is called.
	Notify(f func()) (stop func())
}

// Boot is a point in time since a boot of the machine. Two values are comparable only if
// their IDs are equal.
type Boot struct {
	// ID identifies the boot, on systems that provide it (Linux); elsewhere it is random
	// for each process.
	ID [16]byte
	// Since is the time since boot, including suspend, on systems that provide it
	// (Linux); elsewhere it is the time since the process first called Boot.
	Since time.Duration
}

// BootOf returns the current Boot of c.
func BootOf(c Clock) Boot {
	id, since := c.Boot()
	return Boot{id, since}
}

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
