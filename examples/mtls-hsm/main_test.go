package main

import (
	"testing"

	"strongroom.example/examples/internal/demotest"
)

func TestRun(t *testing.T) {
	demotest.Example{Run: run, Output: []string{
		"device: a throw-away token of SoftHSM", "RSA_2048, RESIDENT", "8 clients connected at once", "the audit log has 8 signatures",
	}}.Test(t)
}
