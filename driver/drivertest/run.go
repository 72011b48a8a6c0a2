package drivertest

import (
	"testing"

	"strongroom.example/driver"
)

// Run checks a driver against the contract of package driver. open returns a new driver
// in each call; the suite closes it. With -short, RSA keys above 2048 bits are left out,
// and the log says so.
func Run(t *testing.T, open func(t *testing.T) driver.Driver) {
	t.Helper()
	Harness{Open: open}.Run(t)
}

// A Harness configures the suite: how to open a driver, and which specs to leave out.
type Harness struct {
	// Open returns a new driver; the suite closes it.
	Open func(t *testing.T) driver.Driver
	// Reopen opens the device of d again, as after a restart of the program; d is closed.
	// If it is nil, the keys of this driver are not expected to survive a restart.
	Reopen func(t *testing.T, d driver.Driver) driver.Driver
	// LeaveOut reports whether an advertised spec is not to be checked, for example
	// because a slow device takes minutes to generate its keys. The log names such specs.
	// If it is nil, all specs are checked.
	LeaveOut func(spec driver.KeySpec) bool
}

// Run runs every check as a sub-test.
func (h Harness) Run(t *testing.T) {
	t.Helper()
	s := newSubject(t, h.opener(), h.reopener())
	defer s.close(t)
	s.leaveOut(t, func(spec driver.KeySpec) bool {
		return testing.Short() && spec.Algorithm.ModulusBits() > 2048 || h.LeaveOut != nil && h.LeaveOut(spec)
	})
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) { c.run(t, s) })
	}
}

func (h Harness) opener() func(tb) driver.Driver {
	return func(t tb) driver.Driver { return h.Open(t.(*testing.T)) }
}

func (h Harness) reopener() func(tb, driver.Driver) driver.Driver {
	if h.Reopen == nil {
		return nil
	}
	return func(t tb, d driver.Driver) driver.Driver { return h.Reopen(t.(*testing.T), d) }
}

// A namedCheck is one rule of the contract.
type namedCheck struct {
	name string
	run  func(t tb, s *subject)
}

// checks returns the suite in order. DestroyTwice is the last check that uses the shared
// keys, because it destroys them.
func checks() []namedCheck {
	return []namedCheck{
		{"CapabilityTable", capabilityTable},
		{"UnadvertisedIsUnsupported", unadvertisedIsUnsupported},
		{"PRFKnownAnswer", prfKnownAnswer},
		{"PRFDeterministicAndDistinct", prfDeterministicAndDistinct},
		{"PRFTooLong", prfTooLong},
		{"SignVerifiesInStdlib", signVerifiesInStdlib},
		{"SignNonceFresh", signNonceFresh},
		{"SignWrongLength", signWrongLength},
		{"SignUnlistedAlgorithm", signUnlistedAlgorithm},
		{"DecryptRoundTrip", decryptRoundTrip},
		{"DecryptEveryFaultAuthentic", decryptEveryFaultAuthentic},
		{"DecryptOtherFormAuthentic", decryptOtherFormAuthentic},
		{"DecryptUnlistedAlgorithm", decryptUnlistedAlgorithm},
		{"PublicDERMatches", publicDERMatches},
		{"GenerateRepeatable", generateRepeatable},
		{"GeneratedKeysDiffer", generatedKeysDiffer},
		{"SquatterRefused", squatterRefused},
		{"ReplacedObjectTracked", replacedObjectTracked},
		{"OpenAbsent", openAbsent},
		{"BlobOfOtherKeyRefused", blobOfOtherKeyRefused},
		{"BlobOfOtherSpecRefused", blobOfOtherSpecRefused},
		{"BlobFlipped", blobFlipped},
		{"ImportRoundTrip", importRoundTrip},
		{"ImportRepeatable", importRepeatable},
		{"ImportWrongLength", importWrongLength},
		{"ImportContradiction", importContradiction},
		{"BlobHidesMaterial", blobHidesMaterial},
		{"WrappedImportRoundTrip", wrappedImportRoundTrip},
		{"WrappedImportFaultAuthentic", wrappedImportFaultAuthentic},
		{"WrappedImportLength", wrappedImportLength},
		{"WrappedImportContradiction", wrappedImportContradiction},
		{"InputNotModified", inputNotModified},
		{"DstAppended", dstAppended},
		{"ListerNamesKeys", listerNamesKeys},
		{"RandomFills", randomFills},
		{"CounterCounts", counterCounts},
		{"ErrorsAreClassified", errorsAreClassified},
		{"HostileInput", hostileInput},
		{"Concurrent", concurrent},
		{"CanceledNeverReachesDevice", canceledNeverReachesDevice},
		{"ContextNotKept", contextNotKept},
		{"DeadlineEndsWait", deadlineEndsWait},
		{"UseAfterKeyClose", useAfterKeyClose},
		{"KeyCloseWaits", keyCloseWaits},
		{"DestroyAbsent", destroyAbsent},
		{"DestroyTwice", destroyTwice},
		{"CloseWaits", closeWaits},
		{"UseAfterClose", useAfterClose},
		{"CloseTwice", closeTwice},
		{"ReopenKeepsKeys", reopenKeepsKeys},
		{"ReopenKeepsCounter", reopenKeepsCounter},
	}
}

// tb is the part of testing.TB that a check uses, so that the suite can be tested on
// drivers that are expected to fail.
type tb interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}
