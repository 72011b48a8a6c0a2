package main

import (
	"testing"

	"strongroom.example/examples/internal/demotest"
)

func TestRun(t *testing.T) {
	demotest.Example{Run: run, Output: []string{"encrypted 40 messages", "a wrong request was made 1 time"}}.Test(t)
}
