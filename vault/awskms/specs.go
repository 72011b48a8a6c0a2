package awskms

import (
	"slices"

	"strongroom.example/vault"
)

// A keySpec is a spec of the API and the one of the vault. A spec that the API does not have
// keeps its name.
type keySpec struct {
	name   string
	spec   vault.KeySpec
	usages []vault.KeyUsage
}

var (
	decryptOrSign = []vault.KeyUsage{vault.AsymmetricDecrypt, vault.SignVerify}
	signOnly      = []vault.KeyUsage{vault.SignVerify}
	macOnly       = []vault.KeyUsage{vault.GenerateVerifyMac}
)

var keySpecs = []keySpec{
	{"SYMMETRIC_DEFAULT", vault.Symmetric, []vault.KeyUsage{vault.EncryptDecrypt}},
	{"RSA_2048", vault.RSA2048, decryptOrSign},
	{"RSA_3072", vault.RSA3072, decryptOrSign},
	{"RSA_4096", vault.RSA4096, decryptOrSign},
	{"ECC_NIST_P256", vault.ECCP256, signOnly},
	{"ECC_NIST_P384", vault.ECCP384, signOnly},
	{"ECC_NIST_P521", vault.ECCP521, signOnly},
	{"ECC_NIST_EDWARDS25519", vault.Ed25519, signOnly},
	{"SM2", vault.SM2, decryptOrSign},
	{"HMAC_224", vault.HMAC224, macOnly},
	{"HMAC_256", vault.HMAC256, macOnly},
	{"HMAC_384", vault.HMAC384, macOnly},
	{"HMAC_512", vault.HMAC512, macOnly},
	{"HMAC_SM3", vault.HMACSM3, macOnly},
}

// specName returns the name that the API has for a spec.
func specName(spec vault.KeySpec) string {
	for _, s := range keySpecs {
		if s.spec == spec {
			return s.name
		}
	}
	return string(spec)
}

// usageName returns the name that the API has for a usage.
func usageName(usage vault.KeyUsage) string {
	if usage == vault.AsymmetricDecrypt {
		return "ENCRYPT_DECRYPT"
	}
	return string(usage)
}

// A signAlgorithm is a signature algorithm. digest is the length of its hash, and 0 for an
// algorithm that takes the message only.
type signAlgorithm struct {
	name   string
	vault  vault.SignAlgorithm
	digest int
	specs  []vault.KeySpec
}

var rsaSpecs = []vault.KeySpec{vault.RSA2048, vault.RSA3072, vault.RSA4096}

var signAlgorithms = []signAlgorithm{
	{"RSASSA_PSS_SHA_256", vault.RSAPSSSHA256, 32, rsaSpecs},
	{"RSASSA_PSS_SHA_384", vault.RSAPSSSHA384, 48, rsaSpecs},
	{"RSASSA_PSS_SHA_512", vault.RSAPSSSHA512, 64, rsaSpecs},
	{"RSASSA_PKCS1_V1_5_SHA_256", vault.RSAPKCS1SHA256, 32, rsaSpecs},
	{"RSASSA_PKCS1_V1_5_SHA_384", vault.RSAPKCS1SHA384, 48, rsaSpecs},
	{"RSASSA_PKCS1_V1_5_SHA_512", vault.RSAPKCS1SHA512, 64, rsaSpecs},
	{"ECDSA_SHA_256", vault.ECCP256R1, 32, []vault.KeySpec{vault.ECCP256}},
	{"ECDSA_SHA_384", vault.ECCP384R1, 48, []vault.KeySpec{vault.ECCP384}},
	{"ECDSA_SHA_512", vault.ECCP521R1, 64, []vault.KeySpec{vault.ECCP521}},
	{"SM2DSA", vault.SM2DSA, 32, []vault.KeySpec{vault.SM2}},
	{"ED25519_SHA_512", vault.EdDSA, 0, []vault.KeySpec{vault.Ed25519}},
}

// An encryptionAlgorithm is an algorithm of asymmetric encryption.
type encryptionAlgorithm struct {
	name  string
	vault vault.EncryptionAlgorithm
	specs []vault.KeySpec
}

var encryptionAlgorithms = []encryptionAlgorithm{
	{"RSAES_OAEP_SHA_1", vault.RSAESOAEPSHA1, rsaSpecs},
	{"RSAES_OAEP_SHA_256", vault.RSAESOAEPSHA256, rsaSpecs},
	{"SM2PKE", vault.SM2C1C3C2, []vault.KeySpec{vault.SM2}},
}

// symmetricDefault is the spec and the algorithm of symmetric encryption.
const symmetricDefault = "SYMMETRIC_DEFAULT"

// macAlgorithms are the algorithms of HMAC by the spec of the CMK, which determines it.
var macAlgorithms = map[vault.KeySpec]string{
	vault.HMAC224: "HMAC_SHA_224",
	vault.HMAC256: "HMAC_SHA_256",
	vault.HMAC384: "HMAC_SHA_384",
	vault.HMAC512: "HMAC_SHA_512",
	vault.HMACSM3: "HMAC_SM3",
}

// algorithms are those of a CMK, in the fields that the API has for them.
type algorithms struct {
	EncryptionAlgorithms []string `json:",omitempty"`
	SigningAlgorithms    []string `json:",omitempty"`
	MacAlgorithms        []string `json:",omitempty"`
}

// algorithmsOf returns the algorithms of a CMK in a vault of an edition.
func algorithmsOf(usage vault.KeyUsage, spec vault.KeySpec, edition vault.Edition) (a algorithms) {
	switch usage {
	case vault.EncryptDecrypt:
		a.EncryptionAlgorithms = []string{symmetricDefault}
	case vault.AsymmetricDecrypt:
		for _, row := range encryptionAlgorithms {
			if slices.Contains(row.specs, spec) && (edition != vault.FIPS || row.vault == vault.RSAESOAEPSHA256) {
				a.EncryptionAlgorithms = append(a.EncryptionAlgorithms, row.name)
			}
		}
	case vault.SignVerify:
		for _, row := range signAlgorithms {
			if slices.Contains(row.specs, spec) {
				a.SigningAlgorithms = append(a.SigningAlgorithms, row.name)
			}
		}
	case vault.GenerateVerifyMac:
		a.MacAlgorithms = []string{macAlgorithms[spec]}
	}
	return a
}
