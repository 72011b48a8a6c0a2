package main

import (
	"testing"

	"strongroom.example/examples/internal/demotest"
)

func TestRun(t *testing.T) {
	demotest.Example{Run: run, Output: []string{
		"the TPM is lost", "the new TPM opens it", "the passphrase is forgotten", "the new passphrase opens it",
		"the store is deleted", "makes a backup", "the machine is lost",
	}}.Test(t)
}
