// Package vaulttest is what the vault promises through its public face, run over any
// driver: the same calls, the same results and the same errors, whatever protects the
// keys.
//
//	func TestVault(t *testing.T) {
//		vaulttest.Run(t, vaulttest.Harness{Config: func(t *testing.T) vault.Config {
//			return vault.Config{Drivers: map[string]driver.Driver{"mine": openMine(t)}, Driver: "mine"}
//		}})
//	}
//
// What the default driver can do is read from its Info. What it lacks must fall back
// to the software engine, or be ErrUnsupported where the driver is named. Results are
// checked by the standard library and gmsm, and by the openssl command: it is needed
// where CI=true, and elsewhere its checks are skipped with the name of the package.
//
// Each check ends with the vault's own Check, and each vault with a count of the
// driver's keys that are still open.
package vaulttest
