// Package drivertest is what every driver is held to: a conformance suite over
// [driver.Driver] and one over [driver.Protector], a benchmark body, and two test
// doubles.
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
// and not shared. The suite closes it.
//
// [Memory] is a small driver that protects nothing, for tests of what stands above
// the seam. [Faulty] wraps any driver and makes it fail on demand.
package drivertest
