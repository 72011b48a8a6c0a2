// Package drivertest is what every driver is held to: a conformance suite over
// [driver.Driver] and one over [driver.Protector], a benchmark body, and two test
// doubles.
//
// # For authors of drivers
//
// [Run] checks a driver. It reads from Info what the driver says it can do, checks
// that it can, and checks that everything else answers Unsupported. Each check is
// a sub-test; its name is part of the contract.
//
//	func TestConformance(t *testing.T) {
//		drivertest.Run(t, func(t *testing.T) driver.Driver { return openMine(t) })
//	}
//
// The open function is called several times, and must give a driver that is ready
// and not shared. The suite closes it. It makes some tens of keys and destroys them;
// give it a token or a chip that holds nothing else.
//
// A [Harness] says more: how the device is opened again after a restart, which adds
// the checks that keys, nonces and counters survive one, and what is left out because
// it takes too long. [RunProtector] does the same for a protector, in each edition.
//
// The suite cannot see what never leaves the device. That a key is not extractable,
// that a lost session comes back, and that an object is really gone from the token's
// storage are tests of the driver's own.
//
// The suite is tested in its turn: for each check there are drivers with one
// deliberate fault, which it must find. Who finds a fault that the suite lets through
// should add it there.
//
// # For users of drivers
//
// [Memory] is a small driver that protects nothing, for tests of what stands above
// the seam. [Faulty] wraps any driver and makes it fail on demand: at the nth call,
// with a class, late, never, or after it has acted.
package drivertest
