//go:build !linux

package keystore

import "runtime"

// yield lets other goroutines run.
func yield() { runtime.Gosched() }
