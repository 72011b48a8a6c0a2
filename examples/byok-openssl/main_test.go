package main

import (
	"testing"

	"strongroom.example/examples/internal/demotest"
)

func TestRun(t *testing.T) {
	x := demotest.Example{Run: run, Output: []string{"$ openssl rand"}}
	for _, o := range options {
		x.Output = append(x.Output, "$ openssl pkeyutl", "imported by "+string(o.alg)+": the ciphertext decrypts", "deleted the material")
	}
	x.Test(t)
}
