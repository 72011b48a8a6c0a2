package drivertest

import (
	"slices"

	"strongroom.example/driver"
)

// memorySpecs returns the capability table of a Memory that supports only some specs, or
// all if none is named. Without a wrapping key no spec has wrapped import.
func memorySpecs(only []driver.KeySpec) []driver.SpecInfo {
	table := allSpecs()
	if len(only) == 0 {
		return table
	}
	table = slices.DeleteFunc(table, func(row driver.SpecInfo) bool { return !slices.Contains(only, row.Spec) })
	if !slices.ContainsFunc(table, func(row driver.SpecInfo) bool { return row.Spec.Usage == driver.Unwrap }) {
		for i := range table {
			table[i].WrappedImport = nil
		}
	}
	return table
}

func allSpecs() []driver.SpecInfo {
	var table []driver.SpecInfo
	add := func(alg driver.KeyAlgorithm, usage driver.Usage, row driver.SpecInfo) {
		row.Spec = driver.KeySpec{Algorithm: alg, Usage: usage}
		row.Resident = true
		row.Import = usage != driver.Unwrap
		if symmetric(alg) {
			row.WrappedImport = []driver.WrapAlg{driver.WrapRSAOAEPSHA1, driver.WrapRSAOAEPSHA256}
		}
		table = append(table, row)
	}
	for _, alg := range []driver.KeyAlgorithm{driver.HMACSHA256, driver.HMACSM3} {
		add(alg, driver.Derive, driver.SpecInfo{})
	}
	add(driver.AES256GCM, driver.Seal, driver.SpecInfo{})
	for _, alg := range []driver.KeyAlgorithm{driver.ECP256, driver.ECP384, driver.ECP521, driver.Ed25519, driver.SM2, driver.RSA2048} {
		add(alg, driver.Sign, driver.SpecInfo{Sign: signAlgs(alg)})
	}
	for _, alg := range []driver.KeyAlgorithm{driver.SM2, driver.RSA2048} {
		add(alg, driver.Decrypt, driver.SpecInfo{Decrypt: encryptAlgs(alg)})
	}
	add(driver.RSA2048, driver.Unwrap, driver.SpecInfo{})
	return table
}

// signAlgs returns the signature algorithms of a key algorithm.
func signAlgs(alg driver.KeyAlgorithm) []driver.SignAlg {
	switch alg {
	case driver.RSA2048, driver.RSA3072, driver.RSA4096:
		return []driver.SignAlg{driver.RSAPKCS1SHA256, driver.RSAPKCS1SHA384, driver.RSAPKCS1SHA512,
			driver.RSAPSSSHA256, driver.RSAPSSSHA384, driver.RSAPSSSHA512}
	case driver.ECP256:
		return []driver.SignAlg{driver.ECDSASHA256}
	case driver.ECP384:
		return []driver.SignAlg{driver.ECDSASHA384}
	case driver.ECP521:
		return []driver.SignAlg{driver.ECDSASHA512}
	case driver.Ed25519:
		return []driver.SignAlg{driver.EdDSAEd25519}
	case driver.SM2:
		return []driver.SignAlg{driver.SM2DSA}
	}
	return nil
}

// encryptAlgs returns the encryption algorithms of a key algorithm.
func encryptAlgs(alg driver.KeyAlgorithm) []driver.EncryptAlg {
	switch alg {
	case driver.RSA2048, driver.RSA3072, driver.RSA4096:
		return []driver.EncryptAlg{driver.RSARaw, driver.RSAOAEPSHA1, driver.RSAOAEPSHA256}
	case driver.SM2:
		return []driver.EncryptAlg{driver.SM2ASN1}
	}
	return nil
}
