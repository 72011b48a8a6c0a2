package main

import (
	"testing"

	"strongroom.example/examples/internal/demotest"
)

func TestRun(t *testing.T) {
	x := demotest.Example{Run: run}
	for _, w := range ways {
		x.Output = append(x.Output, "$ openssl pkeyutl -encrypt", string(w.alg)+": decrypted")
	}
	x.Test(t)
}
