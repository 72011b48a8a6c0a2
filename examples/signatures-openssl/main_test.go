package main

import (
	"testing"

	"strongroom.example/examples/internal/demotest"
)

func TestRun(t *testing.T) {
	x := demotest.Example{Run: run}
	for _, w := range ways {
		x.Output = append(x.Output, "$ openssl", string(w.alg)+", RAW: ", "erified ", "$ openssl", string(w.alg)+", DIGEST: ", "erified ")
	}
	x.Test(t)
}
