//go:build !linux

package testtoken

import "os/exec"

// dieWithParent does nothing on this system. The test's cleanup ends the process.
func dieWithParent(*exec.Cmd) {}
