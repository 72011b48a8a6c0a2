package main

import (
	"testing"

	"strongroom.example/examples/internal/demotest"
)

func TestRun(t *testing.T) {
	demotest.Example{Run: run, Output: []string{
		"device: swtpm, a throw-away emulator", "ECC_P256, RESIDENT", "TLS 1.3 with the key in the TPM", "hello gateway-7", "without the key: ",
	}}.Test(t)
}
