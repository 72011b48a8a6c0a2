package audit

import "strongroom.example/internal/suite"

// A Suite selects the hash of a log's tree and the signature algorithm of its
// checkpoints.
type Suite = suite.ID

// The suites.
const (
	// SuiteAES is SHA-256 and Ed25519, of the Standard and FIPS editions.
	SuiteAES = suite.AES
	// SuiteSM is SM3 and SM2, of the SM edition.
	SuiteSM = suite.SM
)
