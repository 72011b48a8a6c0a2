package drivertest

// tb is what a check needs of a testing.TB, so that the suite can be tested on
// drivers that are meant to fail.
type tb interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}
