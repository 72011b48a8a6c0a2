// Package drivertest tests drivers and protectors against their contract. It has a
// conformance suite over [driver.Driver] and one over [driver.Protector], a benchmark,
// and two test doubles.
//
// # For authors of drivers
//
// [Run] checks a driver. It reads from Info what the driver can do, checks that the
// driver can do it, and checks that everything else is Unsupported. Each check is a
// sub-test; its name is part of the contract.
//
//	func TestConformance(t *testing.T) {
//		drivertest.Run(t, func(t *testing.T) driver.Driver { return openMine(t) })
//	}
//
// Run calls the open function several times. It must return a driver that is ready and
// not shared; the suite closes it. The suite generates some tens of keys and destroys
// them, so the token or chip should hold nothing else.
//
// A [Harness] adds how the device is opened again after a restart, which enables the
// checks that keys, nonces and counters survive a restart, and which specs to leave out
// because they take too long. [RunProtector] checks a protector, in each edition.
//
// The suite cannot check what is not visible through the interface. A driver's own tests
// check that a key is not extractable, that a lost session is replaced, and that an
// object is really removed from the token's storage.
//
// The suite itself is tested: for each check there are drivers with one deliberate fault,
// which the check must find. A fault that the suite does not find should be added there.
//
// # For users of drivers
//
// [Memory] is a small driver that protects nothing, for tests of code that uses a driver.
// [Faulty] wraps any driver and makes its calls fail as configured: at the nth call, with
// a class, late, never, or after the device has acted.
package drivertest
