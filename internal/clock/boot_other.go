//go:build !linux

package clock

import "time"

func bootID() (id [16]byte, ok bool) { return id, false }

func sinceBoot() time.Duration { return 0 }
