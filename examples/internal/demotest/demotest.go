// Package demotest tests examples.
package demotest

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"strongroom.example/examples/internal/demo"
)

// An Example is an example with what its output must and must not have.
type Example struct {
	Run demo.Run
	// Output has parts of the output, in their order.
	Output []string
	// Secrets are not in the output.
	Secrets []string
}

// Test runs the example with emulated devices. If a program that the example needs is not
// installed, the test is skipped, or fails where CI is "true".
func (x Example) Test(t *testing.T) {
	t.Helper()
	t.Setenv(demo.TPMVariable, "emulator")
	t.Setenv(demo.HSMVariable, "emulator")
	var w bytes.Buffer
	err := x.Run(t.Context(), &w, t.TempDir())
	if errors.Is(err, demo.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	output := w.String()
	if err != nil {
		t.Fatalf("%v, after\n%s", err, output)
	}
	t.Log("\n" + output)
	rest := output
	for _, part := range x.Output {
		_, after, found := strings.Cut(rest, part)
		if !found {
			t.Errorf("%q is not in the output, or not at its place", part)
			continue
		}
		rest = after
	}
	for _, secret := range x.Secrets {
		if strings.Contains(output, secret) {
			t.Errorf("the output has the secret %q", secret)
		}
	}
}
