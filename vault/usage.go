package vault

import "slices"

// A KeyUsage is the one thing that a CMK does.
type KeyUsage string

// The usages.
const (
	// EncryptDecrypt: Encrypt, Decrypt, data keys.
	EncryptDecrypt KeyUsage = "ENCRYPT_DECRYPT"
	// AsymmetricDecrypt: whoever has the public key encrypts, the vault decrypts.
	AsymmetricDecrypt KeyUsage = "ASYMMETRIC_DECRYPT"
	// SignVerify: Sign and Verify.
	SignVerify KeyUsage = "SIGN_VERIFY"
	// GenerateVerifyMac: GenerateMac and VerifyMac.
	GenerateVerifyMac KeyUsage = "GENERATE_VERIFY_MAC"
)

// usageTable says which usages an operation is for. An operation that is not
// listed is for all.
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

// allows reports whether a CMK of usage u takes operation op.
func (u KeyUsage) allows(op Operation) bool {
	usages, limited := usageTable[op]
	return !limited || slices.Contains(usages, u)
}
