package clock

import (
	"crypto/rand"
	"time"
)

// System returns the machine's clock. Keep one for a process: where the system
// tells no boot id, each has its own.
func System() Clock {
	if id, ok := bootID(); ok {
		return system{id: id, since: sinceBoot}
	}
	var id [16]byte
	rand.Read(id[:]) // never fails
	start := time.Now()
	return system{id: id, since: func() time.Duration { return time.Since(start) }}
}

type system struct {
	id    [16]byte
	since func() time.Duration
}

func (c system) Now() time.Time { return time.Now().UTC() }

func (c system) Boot() Boot { return Boot{ID: c.id, Since: c.since()} }
