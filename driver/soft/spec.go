package soft

import (
	"crypto/fips140"

	"strongroom.example/driver"
)

// specs returns the capability table of an edition.
func specs(e driver.Edition) []driver.SpecInfo {
	table := []driver.SpecInfo{prfSpec(driver.HMACSHA256), prfSpec(driver.HMACSHA224), prfSpec(driver.HMACSHA384), prfSpec(driver.HMACSHA512)}
	for _, alg := range []driver.KeyAlgorithm{driver.RSA2048, driver.RSA3072, driver.RSA4096} {
		table = append(table, signSpec(alg), decryptSpec(alg, rsaEncryption()...))
	}
	table = append(table, signSpec(driver.ECP256), signSpec(driver.ECP384), signSpec(driver.ECP521), signSpec(driver.Ed25519))
	if e == driver.FIPS || fips140.Enforced() {
		return table
	}
	return append(table, prfSpec(driver.HMACSM3), signSpec(driver.SM2), decryptSpec(driver.SM2, driver.SM2ASN1))
}

// rsaEncryption omits OAEP with SHA-1 where the process enforces FIPS 140, because Go
// refuses SHA-1 there.
func rsaEncryption() []driver.EncryptAlg {
	if fips140.Enforced() {
		return []driver.EncryptAlg{driver.RSARaw, driver.RSAOAEPSHA256}
	}
	return []driver.EncryptAlg{driver.RSARaw, driver.RSAOAEPSHA1, driver.RSAOAEPSHA256}
}

func prfSpec(alg driver.KeyAlgorithm) driver.SpecInfo {
	return driver.SpecInfo{Spec: driver.KeySpec{Algorithm: alg, Usage: driver.Derive}, Import: true}
}

func signSpec(alg driver.KeyAlgorithm) driver.SpecInfo {
	spec := driver.KeySpec{Algorithm: alg, Usage: driver.Sign}
	return driver.SpecInfo{Spec: spec, Sign: alg.SignAlgs(), Import: true}
}

func decryptSpec(alg driver.KeyAlgorithm, algs ...driver.EncryptAlg) driver.SpecInfo {
	spec := driver.KeySpec{Algorithm: alg, Usage: driver.Decrypt}
	return driver.SpecInfo{Spec: spec, Decrypt: algs, Import: true}
}
