//go:build !linux

package bench

import (
	"os"
	"time"
)

// datasync makes the file durable. Other systems have no portable fdatasync.
func datasync(f *os.File) error { return f.Sync() }

// processorTime returns 0: it is not known.
func processorTime() time.Duration { return 0 }

// openFiles returns 0: it is not known.
func openFiles(string) int { return 0 }
