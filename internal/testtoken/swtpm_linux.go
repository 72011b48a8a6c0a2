package testtoken

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel end the process with the test binary, whatever ends
// that.
func dieWithParent(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
