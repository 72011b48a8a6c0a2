package clock

import (
	"bytes"
	"encoding/hex"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// bootID reads the id that the kernel draws at each boot. It returns false if the id or
// the boot clock is not available (no /proc, a seccomp filter).
func bootID() (id [16]byte, ok bool) {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return id, false
	}
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return id, false
	}
	digits := bytes.ReplaceAll(bytes.TrimSpace(text), []byte("-"), nil)
	if hex.DecodedLen(len(digits)) != len(id) {
		return id, false
	}
	_, err = hex.Decode(id[:], digits)
	return id, err == nil
}

// sinceBoot returns the time since boot. Unlike the monotonic clock it includes suspend.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // cannot fail, because bootID has tried it
	}
	return time.Duration(ts.Nano())
}
