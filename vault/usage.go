package vault

import "slices"

// A KeyUsage is the one purpose of a CMK.
type KeyUsage string

// The usages.
const (
	// EncryptDecrypt: Encrypt, Decrypt, ReEncrypt and data keys.
	EncryptDecrypt KeyUsage = "ENCRYPT_DECRYPT"
	// AsymmetricDecrypt: data is encrypted with the public key outside the vault, and the
	// vault decrypts it.
	AsymmetricDecrypt KeyUsage = "ASYMMETRIC_DECRYPT"
	// SignVerify: Sign and Verify.
	SignVerify KeyUsage = "SIGN_VERIFY"
	// GenerateVerifyMac: GenerateMac and VerifyMac.
	GenerateVerifyMac KeyUsage = "GENERATE_VERIFY_MAC"
)

// usageTable lists the usages that support an operation. An operation that is not listed is
// supported by all.
var usageTable = map[Operation][]KeyUsage{
	OpEncrypt:                         {EncryptDecrypt},
	OpDecrypt:                         {EncryptDecrypt},
	OpReEncryptFrom:                   {EncryptDecrypt},
	OpReEncryptTo:                     {EncryptDecrypt},
	OpGenerateDataKey:                 {EncryptDecrypt},
	OpGenerateDataKeyWithoutPlaintext: {EncryptDecrypt},
	OpOpenDataKey:                     {EncryptDecrypt},
	OpRotateKey:                       {EncryptDecrypt},
	OpPublicKey:                       {AsymmetricDecrypt, SignVerify},
	OpAsymmetricDecrypt:               {AsymmetricDecrypt},
	OpSign:                            {SignVerify},
	OpVerify:                          {SignVerify},
	OpGenerateMac:                     {GenerateVerifyMac},
	OpVerifyMac:                       {GenerateVerifyMac},
}

// allows reports whether a CMK of usage u supports operation op.
func (u KeyUsage) allows(op Operation) bool {
	usages, limited := usageTable[op]
	return !limited || slices.Contains(usages, u)
}
