package vaultsuite

import (
	"crypto"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/vault"
)

// signAlg is one signature algorithm, with its names in the vault, the driver and
// openssl.
type signAlg struct {
	alg    vault.SignAlgorithm
	device driver.SignAlg
	specs  []vault.KeySpec
	hash   crypto.Hash // 0: the message itself, or SM2's own digest
	// openssl is the openssl command line that verifies a signature.
	openssl string
}

// signAlgs lists the signature algorithms. The first one for a spec is its default.
func signAlgs() []signAlg {
	rsa := []vault.KeySpec{vault.RSA2048, vault.RSA3072, vault.RSA4096}
	one := func(s vault.KeySpec) []vault.KeySpec { return []vault.KeySpec{s} }
	const files = " -verify public.pem -signature signature message"
	const pss = " -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1"
	const pkeyutl = "pkeyutl -verify -pubin -inkey public.pem -rawin -in message -sigfile signature"
	return []signAlg{
		{vault.RSAPSSSHA256, driver.RSAPSSSHA256, rsa, crypto.SHA256, "dgst -sha256" + pss + files},
		{vault.RSAPSSSHA384, driver.RSAPSSSHA384, rsa, crypto.SHA384, "dgst -sha384" + pss + files},
		{vault.RSAPSSSHA512, driver.RSAPSSSHA512, rsa, crypto.SHA512, "dgst -sha512" + pss + files},
		{vault.RSAPKCS1SHA256, driver.RSAPKCS1SHA256, rsa, crypto.SHA256, "dgst -sha256" + files},
		{vault.RSAPKCS1SHA384, driver.RSAPKCS1SHA384, rsa, crypto.SHA384, "dgst -sha384" + files},
		{vault.RSAPKCS1SHA512, driver.RSAPKCS1SHA512, rsa, crypto.SHA512, "dgst -sha512" + files},
		{vault.ECCP256R1, driver.ECDSASHA256, one(vault.ECCP256), crypto.SHA256, "dgst -sha256" + files},
		{vault.ECCP384R1, driver.ECDSASHA384, one(vault.ECCP384), crypto.SHA384, "dgst -sha384" + files},
		{vault.ECCP521R1, driver.ECDSASHA512, one(vault.ECCP521), crypto.SHA512, "dgst -sha512" + files},
		{vault.EdDSA, driver.EdDSAEd25519, one(vault.Ed25519), 0, pkeyutl},
		{vault.SM2DSA, driver.SM2DSA, one(vault.SM2), 0, pkeyutl + " -digest sm3 -pkeyopt distid:" + vault.SM2DefaultID},
	}
}

// encryptAlg is one algorithm for encryption to a public key.
type encryptAlg struct {
	alg    vault.EncryptionAlgorithm
	device driver.EncryptAlg
	specs  []vault.KeySpec
	// openssl has the additional options with which openssl encrypts.
	openssl string
}

// encryptAlgs lists the encryption algorithms. The first one for a spec is its default.
func encryptAlgs() []encryptAlg {
	rsa := []vault.KeySpec{vault.RSA2048, vault.RSA3072, vault.RSA4096}
	const padding = " -pkeyopt rsa_padding_mode:"
	return []encryptAlg{
		{vault.RSAESOAEPSHA256, driver.RSAOAEPSHA256, rsa, padding + "oaep -pkeyopt rsa_oaep_md:sha256"},
		{vault.RSAESOAEPSHA1, driver.RSAOAEPSHA1, rsa, padding + "oaep -pkeyopt rsa_oaep_md:sha1"},
		{vault.RSAESPKCS1V15, driver.RSARaw, rsa, padding + "pkcs1"},
		{vault.SM2C1C3C2, driver.SM2ASN1, []vault.KeySpec{vault.SM2}, ""},
	}
}

// signing is a signature algorithm with a row whose spec it fits.
type signing struct {
	row
	signAlg
	can bool // false: the driver or the edition does not support it
}

// String names the pair in subtests.
func (x signing) String() string { return string(x.spec) + "/" + string(x.alg) }

// signings pairs every usable row with every algorithm of its spec.
func (s *subject) signings() (out []signing) {
	for _, r := range s.usable() {
		_, info, _ := s.place(s.shared, r)
		for _, a := range signAlgs() {
			if r.usage == vault.SignVerify && slices.Contains(a.specs, r.spec) {
				out = append(out, signing{r, a, slices.Contains(info.Sign, a.device)})
			}
		}
	}
	return out
}

// decrypting is an encryption algorithm with a row whose spec it fits.
type decrypting struct {
	row
	encryptAlg
	can bool // false: the driver or the edition does not support it
}

// String names the pair in subtests.
func (x decrypting) String() string { return string(x.spec) + "/" + string(x.alg) }

// decryptings pairs every usable row with every algorithm of its spec.
func (s *subject) decryptings() (out []decrypting) {
	for _, r := range s.usable() {
		_, info, _ := s.place(s.shared, r)
		for _, a := range encryptAlgs() {
			if r.usage != vault.AsymmetricDecrypt || !slices.Contains(a.specs, r.spec) {
				continue
			}
			refused := s.edition == vault.FIPS && (a.alg == vault.RSAESPKCS1V15 || a.alg == vault.RSAESOAEPSHA1)
			out = append(out, decrypting{r, a, slices.Contains(info.Decrypt, a.device) && !refused})
		}
	}
	return out
}

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
		{vault.HMAC224, vault.GenerateVerifyMac, driver.KeySpec{Algorithm: driver.HMACSHA224, Usage: driver.Derive}},
		{vault.HMAC384, vault.GenerateVerifyMac, driver.KeySpec{Algorithm: driver.HMACSHA384, Usage: driver.Derive}},
		{vault.HMAC512, vault.GenerateVerifyMac, driver.KeySpec{Algorithm: driver.HMACSHA512, Usage: driver.Derive}},
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
