package main

import (
	"testing"

	"strongroom.example/examples/internal/demotest"
)

func TestRun(t *testing.T) {
	demotest.Example{Run: run, Output: []string{
		"under one data key", "opened small.bin: 1 bytes", "opened large.bin: 33554432 bytes", "is refused",
	}}.Test(t)
}
