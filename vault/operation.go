package vault

// An Operation is what a principal does; it names the operation in policies, in
// errors and in the audit.
type Operation string

// The operations. OpDecrypt and OpOpenDataKey are one power under two names: what a
// ciphertext holds is not written on it, so that either opens what was made for the other.
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
	// What the vault does by itself when the time has come.
	OpExpireKeyMaterial Operation = "ExpireKeyMaterial"
	OpExpireImportToken Operation = "ExpireImportToken"
	OpListProtectors    Operation = "ListProtectors"
	OpAddProtector      Operation = "AddProtector"
	OpRemoveProtector   Operation = "RemoveProtector"
	OpHealProtector     Operation = "HealProtector"
	// OpHealRootFile is recorded by Open for each root file that it replaced or removed.
	OpHealRootFile Operation = "HealRootFile"
	// OpPinKey is recorded when the vault first stores the check value of a device's key
	// whose record, of an earlier version of this package, has none.
	OpPinKey       Operation = "PinKey"
	OpRotateRoot   Operation = "RotateRoot"
	OpReadAudit    Operation = "ReadAudit"
	OpExportAudit  Operation = "ExportAudit"
	OpCheck        Operation = "Check"
	OpBackup       Operation = "Backup"
	OpRestoreVault Operation = "RestoreVault"
)
