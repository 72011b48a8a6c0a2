package testtoken

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel end the process when the test binary ends, for any
// reason.
func dieWithParent(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
