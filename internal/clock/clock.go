// Package clock provides the time of day and the time since boot, and lets tests control
// both.
package clock

import "time"

// A Clock is the source of all the vault's times. It is safe for concurrent use.
type Clock interface {
	// Now returns the time of day in UTC. An operator or the network can set it back.
	Now() time.Time
	// Boot returns the time since boot, which cannot be set back while the machine is up.
	Boot() Boot
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
