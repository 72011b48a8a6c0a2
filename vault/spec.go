package vault

import (
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// A KeySpec is the type of a CMK's material.
type KeySpec string

// The key specs.
const (
	// Symmetric is a derivation key: every message is encrypted under a derived key of its
	// own, by AES-256-GCM, or by SM4-GCM in the SM edition.
	Symmetric KeySpec = "SYMMETRIC_DEFAULT"
	// HMAC256 is a key for HMAC with SHA-256, and HMACSM3 for HMAC with SM3.
	HMAC256 KeySpec = "HMAC_256"
	HMACSM3 KeySpec = "HMAC_SM3"

	RSA2048 KeySpec = "RSA_2048"
	RSA3072 KeySpec = "RSA_3072"
	RSA4096 KeySpec = "RSA_4096"
	ECCP256 KeySpec = "ECC_P256"
	ECCP384 KeySpec = "ECC_P384"
	ECCP521 KeySpec = "ECC_P521"
	Ed25519 KeySpec = "ED25519"
	SM2     KeySpec = "SM2"
)

// specRow is one permitted pair of spec and usage.
type specRow struct {
	spec  KeySpec
	usage KeyUsage
	alg   driver.KeyAlgorithm
}

// specTable lists the permitted pairs. The first is the default.
var specTable = []specRow{
	{Symmetric, EncryptDecrypt, ""}, // that of the edition
	{HMAC256, GenerateVerifyMac, driver.HMACSHA256},
	{HMACSM3, GenerateVerifyMac, driver.HMACSM3},
	{RSA2048, SignVerify, driver.RSA2048},
	{RSA3072, SignVerify, driver.RSA3072},
	{RSA4096, SignVerify, driver.RSA4096},
	{ECCP256, SignVerify, driver.ECP256},
	{ECCP384, SignVerify, driver.ECP384},
	{ECCP521, SignVerify, driver.ECP521},
	{Ed25519, SignVerify, driver.Ed25519},
	{SM2, SignVerify, driver.SM2},
	{RSA2048, AsymmetricDecrypt, driver.RSA2048},
	{RSA3072, AsymmetricDecrypt, driver.RSA3072},
	{RSA4096, AsymmetricDecrypt, driver.RSA4096},
	{SM2, AsymmetricDecrypt, driver.SM2},
}

// device returns the spec of the material in a driver.
func (r specRow) device(s suite.ID) driver.KeySpec {
	spec := driver.KeySpec{Algorithm: r.alg, Usage: driver.Derive}
	switch {
	case r.usage == SignVerify:
		spec.Usage = driver.Sign
	case r.usage == AsymmetricDecrypt:
		spec.Usage = driver.Decrypt
	case r.alg == "" && s == suite.SM:
		spec.Algorithm = driver.HMACSM3
	case r.alg == "":
		spec.Algorithm = driver.HMACSHA256
	}
	return spec
}

// sm reports whether the row uses an algorithm of GM/T.
func (r specRow) sm() bool { return r.alg == driver.SM2 || r.alg == driver.HMACSM3 }

// chooseSpec returns the only row that matches spec and usage. An empty argument matches
// all.
func chooseSpec(spec KeySpec, usage KeyUsage, e Edition) (specRow, error) {
	if spec == "" && usage == "" {
		return specTable[0], nil
	}
	var fit []specRow
	for _, r := range specTable {
		foreign := spec == "" && r.usage == GenerateVerifyMac && r.sm() != (e == SM)
		if (spec == "" || spec == r.spec) && (usage == "" || usage == r.usage) && !foreign {
			fit = append(fit, r)
		}
	}
	switch {
	case len(fit) == 0:
		return specRow{}, fmt.Errorf("%w: usage %.80q with spec %.80q", ErrUnsupported, usage, spec)
	case len(fit) > 1:
		return specRow{}, invalid("usage %.80q with spec %.80q leaves open which is meant; name both", usage, spec)
	}
	return fit[0], excluded(e, fit[0].spec)
}
