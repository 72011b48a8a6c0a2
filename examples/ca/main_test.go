package main

import (
	"testing"

	"strongroom.example/examples/internal/demotest"
)

func TestRun(t *testing.T) {
	demotest.Example{Run: run, Output: []string{
		"made the certificate of Example CA", "$ openssl req", "signed the request of [www.example]", "$ openssl verify", "server.pem: OK",
	}}.Test(t)
}
