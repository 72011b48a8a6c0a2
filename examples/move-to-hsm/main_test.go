package main

import (
	"testing"

	"strongroom.example/examples/internal/demotest"
)

func TestRun(t *testing.T) {
	demotest.Example{Run: run, Output: []string{
		"without a device", "device: a throw-away token of SoftHSM", "version 1 moved from soft to hsm", "version 3 moved from soft to hsm",
		"the vault opens by: ", "the HSM opens the vault, and 2 old ciphertexts decrypt unchanged",
	}}.Test(t)
}
