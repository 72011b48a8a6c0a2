package drivertest

import (
	"testing"

	"strongroom.example/driver"
)

// Run holds a driver to the contract of package driver. open gives a fresh driver
// each time that it is called; the suite closes it. Under -short RSA keys above
// 2048 bits are left out, and the log says so.
func Run(t *testing.T, open func(t *testing.T) driver.Driver) {
	t.Helper()
	Harness{Open: open}.Run(t)
}

// A Harness is how the suite gets at a driver.
type Harness struct {
	// Open gives a fresh driver; the suite closes it.
	Open func(t *testing.T) driver.Driver
	// Reopen opens the device of d, which is closed, again, as after a restart of
	// the program. Nil: the keys of this driver are not meant to survive.
	Reopen func(t *testing.T, d driver.Driver) driver.Driver
	// LeaveOut names advertised specs that are not checked, such as those that a
	// slow device takes minutes to make; the log says which. Nil: all are checked.
	LeaveOut func(spec driver.KeySpec) bool
}

// Run runs every check as a sub-test.
func (h Harness) Run(t *testing.T) {
	t.Helper()
	s := newSubject(t, h.opener(), h.reopener())
	defer s.close(t)
	s.leaveOut(t, func(spec driver.KeySpec) bool {
		return testing.Short() && modulusBits(spec.Algorithm) > 2048 || h.LeaveOut != nil && h.LeaveOut(spec)
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

// A check is one promise of the contract.
type check struct {
	name string
	run  func(t tb, s *subject)
}

// checks lists the suite in order. DestroyTwice comes last of those that share
// keys, since it destroys them.
func checks() []check {
	return []check{
		{"CapabilityTable", capabilityTable},
		{"UnadvertisedIsUnsupported", unadvertisedIsUnsupported},
		{"PRFKnownAnswer", prfKnownAnswer},
		{"PRFDeterministicAndDistinct", prfDeterministicAndDistinct},
		{"PRFTooLong", prfTooLong},
		{"AEADRoundTrip", aeadRoundTrip},
		{"AEADWrongAAD", aeadWrongAAD},
		{"AEADWrongKey", aeadWrongKey},
		{"AEADEveryByteFlipped", aeadEveryByteFlipped},
		{"AEADShort", aeadShort},
		{"NonceFresh", nonceFresh},
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
		{"NonceFreshAfterReopen", nonceFreshAfterReopen},
	}
}
