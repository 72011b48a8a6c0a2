// Package vaultsuite tests the contract of package vault through its exported API, over
// any driver: the same calls must have the same results and the same errors, whichever
// driver protects the keys.
//
//	func TestVault(t *testing.T) {
//		vaultsuite.Run(t, vaultsuite.Harness{Config: func(t *testing.T) vault.Config {
//			return vault.Config{Drivers: map[string]driver.Driver{"mine": openMine(t)}, Driver: "mine"}
//		}})
//	}
//
// The suite reads the abilities of the default driver from its Info. An operation that
// the driver lacks must fall back to the software engine, or fail with ErrUnsupported if
// the call names the driver. Results are verified with the standard library, gmsm and the
// openssl command. If CI=true a missing openssl fails the test; otherwise its checks are
// skipped, with the name of the package to install.
//
// Each check ends with the vault's own Check. When a vault is closed, the suite checks
// that none of the driver's keys is still open, and that every decision of the Authorizer is
// on record.
package vaultsuite
