package main

import (
	"testing"

	"strongroom.example/examples/internal/demotest"
)

func TestRun(t *testing.T) {
	demotest.Example{Run: run, Output: []string{
		"wrote config.json", `decrypted the secret "database": 24 bytes`, "is refused", "ciphertext cannot be decrypted",
	}}.Test(t)
}
