package drivertest

// tb is the part of testing.TB that a check uses, so that the suite can be tested on
// drivers that are expected to fail.
type tb interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}
