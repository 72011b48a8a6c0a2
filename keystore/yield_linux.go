package keystore

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// yield lets other goroutines run, and other threads on this processor: the system
// may have put there the very one whose goroutine is waited for, while another
// processor is idle.
func yield() {
	runtime.Gosched()
	unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
}
