package vaulttest

import (
	"strongroom.example/driver"
	"strongroom.example/vault"
)

// row is one pair of spec and usage, with the driver's KeySpec for it.
type row struct {
	spec   vault.KeySpec
	usage  vault.KeyUsage
	device driver.KeySpec
}

// symmetricRow returns the row of the encryption keys.
func symmetricRow(e vault.Edition) row { return allRows(e)[0] }

// allRows lists the rows of an edition, the quickly created ones first.
func allRows(e vault.Edition) []row {
	symmetric := driver.HMACSHA256
	if e == vault.SM {
		symmetric = driver.HMACSM3
	}
	const sign, decrypt = vault.SignVerify, vault.AsymmetricDecrypt
	return []row{
		{vault.Symmetric, vault.EncryptDecrypt, driver.KeySpec{Algorithm: symmetric, Usage: driver.Derive}},
		{vault.HMAC256, vault.GenerateVerifyMac, driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}},
		{vault.HMACSM3, vault.GenerateVerifyMac, driver.KeySpec{Algorithm: driver.HMACSM3, Usage: driver.Derive}},
		{vault.ECCP256, sign, driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}},
		{vault.ECCP384, sign, driver.KeySpec{Algorithm: driver.ECP384, Usage: driver.Sign}},
		{vault.ECCP521, sign, driver.KeySpec{Algorithm: driver.ECP521, Usage: driver.Sign}},
		{vault.Ed25519, sign, driver.KeySpec{Algorithm: driver.Ed25519, Usage: driver.Sign}},
		{vault.SM2, sign, driver.KeySpec{Algorithm: driver.SM2, Usage: driver.Sign}},
		{vault.SM2, decrypt, driver.KeySpec{Algorithm: driver.SM2, Usage: driver.Decrypt}},
		{vault.RSA2048, sign, driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Sign}},
		{vault.RSA2048, decrypt, driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Decrypt}},
		{vault.RSA3072, sign, driver.KeySpec{Algorithm: driver.RSA3072, Usage: driver.Sign}},
		{vault.RSA3072, decrypt, driver.KeySpec{Algorithm: driver.RSA3072, Usage: driver.Decrypt}},
		{vault.RSA4096, sign, driver.KeySpec{Algorithm: driver.RSA4096, Usage: driver.Sign}},
		{vault.RSA4096, decrypt, driver.KeySpec{Algorithm: driver.RSA4096, Usage: driver.Decrypt}},
	}
}

// String names the row in subtests.
func (r row) String() string { return string(r.spec) + "/" + string(r.usage) }

// sm reports whether the row's algorithm is one of GM/T.
func (r row) sm() bool {
	return r.device.Algorithm == driver.SM2 || r.device.Algorithm == driver.HMACSM3
}

// bits returns the length of an RSA modulus, 0 for other keys.
func (r row) bits() int {
	return map[vault.KeySpec]int{vault.RSA2048: 2048, vault.RSA3072: 3072, vault.RSA4096: 4096}[r.spec]
}
