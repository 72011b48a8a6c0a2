package vault

// An Operation is an action of a principal. It names the action in policies, in errors and
// in the audit log.
type Operation string

// The operations. OpDecrypt and OpOpenDataKey are the same permission under two names,
// because a ciphertext does not say what it holds: either operation opens the ciphertexts
// made for the other.
const (
	OpCreateVault                     Operation = "CreateVault"
	OpOpenVault                       Operation = "OpenVault"
	OpCloseVault                      Operation = "CloseVault"
	OpCreateKey                       Operation = "CreateKey"
	OpDescribeKey                     Operation = "DescribeKey"
	OpListKeys                        Operation = "ListKeys"
	OpListKeyVersions                 Operation = "ListKeyVersions"
	OpSetAlias                        Operation = "SetAlias"
	OpDeleteAlias                     Operation = "DeleteAlias"
	OpSetDescription                  Operation = "SetDescription"
	OpTagKey                          Operation = "TagKey"
	OpUntagKey                        Operation = "UntagKey"
	OpEnableKey                       Operation = "EnableKey"
	OpDisableKey                      Operation = "DisableKey"
	OpMoveKey                         Operation = "MoveKey"
	OpRotateKey                       Operation = "RotateKey"
	OpEncrypt                         Operation = "Encrypt"
	OpDecrypt                         Operation = "Decrypt"
	OpReEncryptFrom                   Operation = "ReEncryptFrom"
	OpReEncryptTo                     Operation = "ReEncryptTo"
	OpGenerateDataKey                 Operation = "GenerateDataKey"
	OpGenerateDataKeyWithoutPlaintext Operation = "GenerateDataKeyWithoutPlaintext"
	OpOpenDataKey                     Operation = "OpenDataKey"
	OpGenerateRandom                  Operation = "GenerateRandom"
	OpPublicKey                       Operation = "PublicKey"
	OpSign                            Operation = "Sign"
	OpVerify                          Operation = "Verify"
	OpAsymmetricDecrypt               Operation = "AsymmetricDecrypt"
	OpGenerateMac                     Operation = "GenerateMac"
	OpVerifyMac                       Operation = "VerifyMac"
	OpParametersForImport             Operation = "ParametersForImport"
	OpImportKeyMaterial               Operation = "ImportKeyMaterial"
	OpDeleteImportedKeyMaterial       Operation = "DeleteImportedKeyMaterial"
	// OpExpireKeyMaterial and OpExpireImportToken are recorded by the vault itself, when
	// material or a token expires.
	OpExpireKeyMaterial Operation = "ExpireKeyMaterial"
	OpExpireImportToken Operation = "ExpireImportToken"
	OpListProtectors    Operation = "ListProtectors"
	OpAddProtector      Operation = "AddProtector"
	OpRemoveProtector   Operation = "RemoveProtector"
	OpHealProtector     Operation = "HealProtector"
	// OpHealRootFile is recorded by Open for each root file that it replaced or removed.
	OpHealRootFile Operation = "HealRootFile"
	// OpPinKey is recorded when the vault first stores the check value of a device key whose
	// record has none because an earlier version of this package wrote it.
	OpPinKey       Operation = "PinKey"
	OpRotateRoot   Operation = "RotateRoot"
	OpReadAudit    Operation = "ReadAudit"
	OpExportAudit  Operation = "ExportAudit"
	OpCheck        Operation = "Check"
	OpBackup       Operation = "Backup"
	OpRestoreVault Operation = "RestoreVault"
)

// usesReserve reports whether the operation works below Config.MinFree, down to the reserve
// of disk space: it reads what was stored, or makes something unusable.
func (op Operation) usesReserve() bool {
	switch op {
	case OpDecrypt, OpOpenDataKey, OpAsymmetricDecrypt, OpVerify, OpVerifyMac, OpPublicKey,
		OpDescribeKey, OpListKeys, OpListKeyVersions, OpListProtectors, OpReadAudit, OpExportAudit, OpCheck,
		OpDisableKey, OpDeleteAlias, OpUntagKey, OpDeleteImportedKeyMaterial:
		return true
	}
	return false
}
