package keystore

import "strongroom.example/internal/suite"

// A Suite is the set of algorithms that seals a store, and to which its records and root
// file are bound.
type Suite = suite.ID

// The suites.
const (
	// SuiteAES is AES-256-GCM and HMAC-SHA-256, of the Standard and FIPS editions.
	SuiteAES = suite.AES
	// SuiteSM is SM4-GCM and HMAC-SM3, of the SM edition.
	SuiteSM = suite.SM
)
