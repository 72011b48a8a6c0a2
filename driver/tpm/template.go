package tpm

import (
	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
)

// area returns the public area of a key. binding is its authPolicy.
func (k kind) area(binding []byte) tpm2.TPMTPublic {
	usage := k.row.Spec.Usage
	t := tpm2.TPMTPublic{
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM:            true,
			FixedParent:         true,
			SensitiveDataOrigin: true,
			UserWithAuth:        true,
			NoDA:                true,
			SignEncrypt:         usage != driver.Decrypt,
			Decrypt:             usage == driver.Decrypt,
		},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: binding},
	}
	switch {
	case usage == driver.Derive:
		t.Type = tpm2.TPMAlgKeyedHash
		t.Parameters = tpm2.NewTPMUPublicParms(t.Type, &tpm2.TPMSKeyedHashParms{Scheme: tpm2.TPMTKeyedHashScheme{
			Scheme:  tpm2.TPMAlgHMAC,
			Details: tpm2.NewTPMUSchemeKeyedHash(tpm2.TPMAlgHMAC, &tpm2.TPMSSchemeHMAC{HashAlg: tpm2.TPMAlgSHA256}),
		}})
		t.Unique = tpm2.NewTPMUPublicID(t.Type, &tpm2.TPM2BDigest{})
	case k.curve != 0:
		t.Type = tpm2.TPMAlgECC
		t.Parameters = tpm2.NewTPMUPublicParms(t.Type, &tpm2.TPMSECCParms{CurveID: k.curve})
		t.Unique = tpm2.NewTPMUPublicID(t.Type, &tpm2.TPMSECCPoint{})
	default:
		t.Type = tpm2.TPMAlgRSA
		t.Parameters = tpm2.NewTPMUPublicParms(t.Type, &tpm2.TPMSRSAParms{KeyBits: 2048})
		t.Unique = tpm2.NewTPMUPublicID(t.Type, &tpm2.TPM2BPublicKeyRSA{})
	}
	return t
}
