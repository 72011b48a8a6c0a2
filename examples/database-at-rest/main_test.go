package main

import (
	"testing"

	"strongroom.example/examples/internal/demotest"
)

func TestRun(t *testing.T) {
	demotest.Example{
		Run:     run,
		Output:  []string{"stored 50 rows", "found a number by its index: [row-07]", "50 rows are encrypted under version 2"},
		Secrets: []string{"000049"},
	}.Test(t)
}
