package keystore

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// yield lets other goroutines run, and other threads on this processor, because the
// thread of the awaited goroutine may be queued on this processor while another is idle.
func yield() {
	runtime.Gosched()
	unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
}
