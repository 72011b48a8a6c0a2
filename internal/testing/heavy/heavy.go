// Package heavy reads the environment variables by which a person makes a test do more than
// its default. CONTRIBUTING.md lists them.
package heavy

import (
	"os"
	"strconv"
	"testing"
)

// All reports whether the variable is "all". Any other value but the empty one makes the
// test fail, because a mistyped value would run the default without notice.
func All(t testing.TB, variable string) bool {
	t.Helper()
	switch text := os.Getenv(variable); text {
	case "all":
		return true
	case "":
	default:
		t.Fatalf("%s=%s: the value must be all", variable, text)
	}
	return false
}

// Count returns the number that the variable holds, or byDefault if it is not set. A value
// that is not a positive number makes the test fail.
func Count(t testing.TB, variable string, byDefault int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return byDefault
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: the value must be a positive number", variable, text)
	}
	return n
}
