//go:build !linux && !darwin

package badger

import "math"

// freeSpace answers "plenty": elsewhere Badger writes files at their full size
// when it makes them (Windows does), so a full disk is an error there and does
// not kill the process. The keystore's own watermark still applies.
func freeSpace(string) (uint64, error) { return math.MaxUint64, nil }

// probeLock does nothing: Badger locks with means that cannot be probed without
// taking them. The keystore's own lock stands before it.
func probeLock(string) error { return nil }

// syncDir does nothing: NTFS logs its names.
func syncDir(string) error { return nil }
