// Package clock tells the time of day and the time since boot, and lets tests
// decide both.
package clock

import "time"

// A Clock is where all of the vault's times come from. It is safe for concurrent
// use.
type Clock interface {
	// Now is the time of day in UTC. People and networks can set it back.
	Now() time.Time
	// Boot cannot be set back while the machine is up.
	Boot() Boot
}

// Boot is a point in the life of a running machine. Two of them compare only if
// they have one ID.
type Boot struct {
	// ID is the boot's id where the system tells one (Linux), otherwise random for
	// the process.
	ID [16]byte
	// Since is the time since boot, suspend included where the system tells it
	// (Linux), otherwise since the process first asked.
	Since time.Duration
}
