package audit

import "strongroom.example/internal/suite"

// A Suite says by which hash a log is a tree, and by which algorithm its checkpoints
// are signed.
type Suite = suite.ID

// The suites.
const (
	// SuiteAES is SHA-256 and Ed25519, of the Standard and FIPS editions.
	SuiteAES = suite.AES
	// SuiteSM is SM3 and SM2, of the SM edition.
	SuiteSM = suite.SM
)
