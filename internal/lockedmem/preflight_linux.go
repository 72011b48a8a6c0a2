package lockedmem

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

var errNoVmLck = errors.New("lockedmem: no VmLck in /proc/self/status")

// preflight checks that the reserve stays free under RLIMIT_MEMLOCK if size bytes more
// are locked. It applies the limit to privileged processes too: the kernel exempts them,
// but an operator who sets a limit intends it.
func preflight(size int, r Rank) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return probe(size, r)
	}
	if limit.Cur == unix.RLIM_INFINITY {
		return nil
	}
	locked, err := processLocked()
	if err != nil {
		return probe(size, r)
	}
	if locked+uint64(size)+r.reserve(limit.Cur) > limit.Cur {
		return fmt.Errorf("%w: %d of %d bytes (RLIMIT_MEMLOCK) are locked", ErrExhausted, locked, limit.Cur)
	}
	return nil
}

// processLocked returns the number of bytes that the whole process has locked.
func processLocked() (uint64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, found := bytes.Cut(status, []byte("\nVmLck:"))
	if !found {
		return 0, errNoVmLck
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	kib, err := strconv.ParseUint(string(bytes.TrimSpace(bytes.TrimSuffix(line, []byte("kB")))), 10, 64)
	return kib << 10, err
}
