package vault

import (
	"fmt"
	"slices"
)

// An Operation is an action of a principal. It names the action in policies, in errors and
// in the audit log.
type Operation string

// The operations. OpDecrypt and OpOpenDataKey are the same permission under two names,
// because the ciphertext of a data key looks like any other: either operation opens the
// ciphertexts made for the other.
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
	OpArchiveKey                      Operation = "ArchiveKey"
	OpCancelKeyArchive                Operation = "CancelKeyArchive"
	OpScheduleKeyDeletion             Operation = "ScheduleKeyDeletion"
	OpCancelKeyDeletion               Operation = "CancelKeyDeletion"
	OpBindResource                    Operation = "BindResource"
	OpUnbindResource                  Operation = "UnbindResource"
	OpListBindings                    Operation = "ListBindings"
	OpListAlgorithms                  Operation = "ListAlgorithms"
	OpMoveKey                         Operation = "MoveKey"
	OpRotateKey                       Operation = "RotateKey"
	OpSetRotation                     Operation = "SetRotation"
	OpGetRotation                     Operation = "GetRotation"
	OpSetMinimumVersion               Operation = "SetMinimumVersion"
	OpTrimKeyVersion                  Operation = "TrimKeyVersion"
	OpEncrypt                         Operation = "Encrypt"
	OpDecrypt                         Operation = "Decrypt"
	OpReEncryptFrom                   Operation = "ReEncryptFrom"
	OpReEncryptTo                     Operation = "ReEncryptTo"
	OpGenerateDataKey                 Operation = "GenerateDataKey"
	OpGenerateDataKeyWithoutPlaintext Operation = "GenerateDataKeyWithoutPlaintext"
	OpOpenDataKey                     Operation = "OpenDataKey"
	OpDecryptTo                       Operation = "DecryptTo"
	OpGenerateDataKeyTo               Operation = "GenerateDataKeyTo"
	OpCreateDataKey                   Operation = "CreateDataKey"
	OpImportDataKey                   Operation = "ImportDataKey"
	OpImportDataKeyCiphertext         Operation = "ImportDataKeyCiphertext"
	OpDescribeDataKey                 Operation = "DescribeDataKey"
	OpListDataKeys                    Operation = "ListDataKeys"
	OpSetDataKeyName                  Operation = "SetDataKeyName"
	OpSetDataKeyDescription           Operation = "SetDataKeyDescription"
	OpEnableDataKey                   Operation = "EnableDataKey"
	OpDisableDataKey                  Operation = "DisableDataKey"
	OpScheduleDataKeyDeletion         Operation = "ScheduleDataKeyDeletion"
	OpCancelDataKeyDeletion           Operation = "CancelDataKeyDeletion"
	OpGetDataKeyCiphertext            Operation = "GetDataKeyCiphertext"
	OpOpenNamedDataKey                Operation = "OpenNamedDataKey"
	OpOpenNamedDataKeyTo              Operation = "OpenNamedDataKeyTo"
	OpGenerateRandom                  Operation = "GenerateRandom"
	OpPublicKey                       Operation = "PublicKey"
	OpSign                            Operation = "Sign"
	OpVerify                          Operation = "Verify"
	OpAsymmetricEncrypt               Operation = "AsymmetricEncrypt"
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
	// OpDestroyKey is recorded by the vault itself, when the waiting period of a deletion has
	// ended.
	OpDestroyKey Operation = "DestroyKey"
	// OpDestroyDataKey is recorded by the vault itself for each named data key that it removes:
	// when its waiting period has ended, and when its CMK is destroyed.
	OpDestroyDataKey  Operation = "DestroyDataKey"
	OpConfirmTime     Operation = "ConfirmTime"
	OpSetTimeBack     Operation = "SetTimeBack"
	OpListProtectors  Operation = "ListProtectors"
	OpAddProtector    Operation = "AddProtector"
	OpRemoveProtector Operation = "RemoveProtector"
	OpHealProtector   Operation = "HealProtector"
	// OpHealRootFile is recorded by Open for each root file that it replaced or removed.
	OpHealRootFile Operation = "HealRootFile"
	// OpHealJournal is recorded by Open when it writes the journal again because it was
	// missing, damaged or older than the vault.
	OpHealJournal Operation = "HealJournal"
	// OpPinKey is recorded when the vault first stores the check value of a device key whose
	// record has none because an earlier version of this package wrote it.
	OpPinKey     Operation = "PinKey"
	OpRotateRoot Operation = "RotateRoot"
	// OpListOrphans is the operation of Client.Orphans.
	OpListOrphans Operation = "ListOrphans"
	OpReadAudit   Operation = "ReadAudit"
	OpExportAudit Operation = "ExportAudit"
	OpCutAudit    Operation = "CutAudit"
	OpCheck       Operation = "Check"
	// OpScrub is recorded by the vault itself when a scrub finds damage; see Config.Scrub.
	OpScrub        Operation = "Scrub"
	OpBackup       Operation = "Backup"
	OpRestoreVault Operation = "RestoreVault"
	OpPutPolicy    Operation = "PutPolicy"
	// OpReadPolicy is the operation of Client.Policy and Client.PolicyVersions.
	OpReadPolicy    Operation = "ReadPolicy"
	OpExplainPolicy Operation = "ExplainPolicy"
	// OpCreateGrant is the operation of Client.Narrow, and OpUseGrant that of
	// Client.WithGrant.
	OpCreateGrant Operation = "CreateGrant"
	OpUseGrant    Operation = "UseGrant"
	OpListGrants  Operation = "ListGrants"
	OpRevokeGrant Operation = "RevokeGrant"
	// OpDryRun is recorded by Client.DryRun. The Authorizer is asked for the operation that
	// is tried.
	OpDryRun           Operation = "DryRun"
	OpDryRunFor        Operation = "DryRunFor"
	OpApprove          Operation = "Approve"
	OpListApprovals    Operation = "ListApprovals"
	OpWithdrawApproval Operation = "WithdrawApproval"
	// OpGenerateDataKeyPair and OpGenerateDataKeyPairWithoutPlaintext make key pairs.
	OpGenerateDataKeyPair                 Operation = "GenerateDataKeyPair"
	OpGenerateDataKeyPairWithoutPlaintext Operation = "GenerateDataKeyPairWithoutPlaintext"
	// OpRepairVault is recorded by Repair in a vault that it rebuilt.
	OpRepairVault Operation = "RepairVault"
)

// usesReserve reports whether the operation works below Config.MinFree, down to the reserve
// of disk space: it reads what was stored, or makes something unusable.
func (op Operation) usesReserve() bool {
	switch op {
	case OpDecrypt, OpDecryptTo, OpOpenDataKey, OpAsymmetricDecrypt, OpVerify, OpVerifyMac, OpPublicKey,
		OpDescribeKey, OpListKeys, OpListKeyVersions, OpGetRotation, OpListProtectors, OpListOrphans, OpReadAudit, OpExportAudit, OpCutAudit, OpCheck, OpReadPolicy, OpExplainPolicy,
		OpDisableKey, OpArchiveKey, OpScheduleKeyDeletion, OpCancelKeyDeletion, OpDeleteAlias, OpUntagKey, OpDeleteImportedKeyMaterial,
		OpUnbindResource, OpListBindings, OpListAlgorithms, OpListGrants, OpRevokeGrant, OpListApprovals, OpWithdrawApproval, OpDryRun, OpDryRunFor,
		OpSetMinimumVersion, OpTrimKeyVersion,
		OpDescribeDataKey, OpListDataKeys, OpGetDataKeyCiphertext, OpOpenNamedDataKey, OpOpenNamedDataKeyTo,
		OpDisableDataKey, OpScheduleDataKeyDeletion, OpCancelDataKeyDeletion:
		return true
	}
	return false
}

// vaultOperations are the operations of principals that do not act on one CMK. Those that do
// are in stateTable.
var vaultOperations = []Operation{
	OpCreateKey, OpListKeys, OpListDataKeys, OpListAlgorithms, OpGenerateRandom, OpConfirmTime, OpSetTimeBack, OpListProtectors, OpAddProtector, OpRemoveProtector, OpRotateRoot,
	OpListOrphans, OpReadAudit, OpExportAudit, OpCutAudit, OpCheck, OpBackup, OpPutPolicy, OpReadPolicy, OpExplainPolicy,
	OpCreateGrant, OpUseGrant, OpListGrants, OpRevokeGrant, OpApprove, OpListApprovals, OpWithdrawApproval, OpDryRunFor,
}

// grantable reports whether the operation is one that a principal asks for.
func (op Operation) grantable() bool {
	_, onKey := stateTable[op]
	return onKey || slices.Contains(vaultOperations, op)
}

// A KeyUsage is the one purpose of a CMK.
type KeyUsage string

// The usages.
const (
	// EncryptDecrypt: Encrypt, Decrypt, ReEncrypt and data keys.
	EncryptDecrypt KeyUsage = "ENCRYPT_DECRYPT"
	// AsymmetricDecrypt: data is encrypted with the public key, outside the vault or by
	// AsymmetricEncrypt, and the vault decrypts it.
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
	OpDecryptTo:                       {EncryptDecrypt},
	OpGenerateDataKeyTo:               {EncryptDecrypt},
	OpCreateDataKey:                   {EncryptDecrypt},
	OpImportDataKey:                   {EncryptDecrypt},
	OpImportDataKeyCiphertext:         {EncryptDecrypt},
	OpDescribeDataKey:                 {EncryptDecrypt},
	OpSetDataKeyName:                  {EncryptDecrypt},
	OpSetDataKeyDescription:           {EncryptDecrypt},
	OpEnableDataKey:                   {EncryptDecrypt},
	OpDisableDataKey:                  {EncryptDecrypt},
	OpScheduleDataKeyDeletion:         {EncryptDecrypt},
	OpCancelDataKeyDeletion:           {EncryptDecrypt},
	OpGetDataKeyCiphertext:            {EncryptDecrypt},
	OpOpenNamedDataKey:                {EncryptDecrypt},
	OpOpenNamedDataKeyTo:              {EncryptDecrypt},
	OpRotateKey:                       {EncryptDecrypt},
	OpSetRotation:                     {EncryptDecrypt},
	OpSetMinimumVersion:               {EncryptDecrypt},
	OpTrimKeyVersion:                  {EncryptDecrypt},
	OpPublicKey:                       {AsymmetricDecrypt, SignVerify},
	OpAsymmetricEncrypt:               {AsymmetricDecrypt},
	OpAsymmetricDecrypt:               {AsymmetricDecrypt},
	OpSign:                            {SignVerify},
	OpVerify:                          {SignVerify},
	OpGenerateMac:                     {GenerateVerifyMac},
	OpVerifyMac:                       {GenerateVerifyMac},

	OpGenerateDataKeyPair:                 {EncryptDecrypt},
	OpGenerateDataKeyPairWithoutPlaintext: {EncryptDecrypt},
}

// allows reports whether a CMK of usage u supports operation op.
func (u KeyUsage) allows(op Operation) bool {
	usages, limited := usageTable[op]
	return !limited || slices.Contains(usages, u)
}

// An Origin is the source of a CMK's material.
type Origin string

// The origins.
const (
	// OriginVault: the vault or its device generates the material.
	OriginVault Origin = "VAULT"
	// OriginExternal: the owner generates the material elsewhere and imports it.
	OriginExternal Origin = "EXTERNAL"
)

// originTable lists the operations that are limited to CMKs of one origin. An operation
// that is not listed is available for all.
var originTable = map[Operation]Origin{
	OpRotateKey:                 OriginVault,
	OpSetRotation:               OriginVault,
	OpSetMinimumVersion:         OriginVault,
	OpTrimKeyVersion:            OriginVault,
	OpParametersForImport:       OriginExternal,
	OpImportKeyMaterial:         OriginExternal,
	OpDeleteImportedKeyMaterial: OriginExternal,
}

// allows returns ErrUnsupported for an operation that CMKs of origin o do not have.
func (o Origin) allows(op Operation) error {
	switch want, limited := originTable[op]; {
	case !limited || want == o:
		return nil
	case want == OriginVault:
		return fmt.Errorf("%w: imported material cannot be rotated; make another CMK, import new material into it and re-encrypt", ErrUnsupported)
	}
	return fmt.Errorf("%w: the CMK was not created with KeyOptions.Origin %s", ErrUnsupported, OriginExternal)
}

// A KeyState is the state of a CMK.
type KeyState string

// The states.
const (
	// Creating: its material is being made. The CMK is listed but cannot be used. If the
	// creation is interrupted, it is rolled back once the driver is available.
	Creating KeyState = "Creating"
	// Enabled: all operations of its usage are allowed.
	Enabled KeyState = "Enabled"
	// Disabled: the CMK cannot be used until it is enabled again.
	Disabled KeyState = "Disabled"
	// PendingImport: its material was not imported yet, was deleted, or has expired.
	PendingImport KeyState = "PendingImport"
	// PendingDeletion: the CMK cannot be used, and will be destroyed at its DeletionDate.
	PendingDeletion KeyState = "PendingDeletion"
	// Archived: only decryption and verification are allowed.
	Archived KeyState = "Archived"
	// Destroyed: the material of every version was destroyed. The description remains.
	Destroyed KeyState = "Destroyed"
)

// states lists the states in the order of the columns below.
var states = [...]KeyState{Creating, Enabled, Disabled, PendingImport, PendingDeletion, Archived, Destroyed}

// stateTable lists the operations that each state allows; + means allowed. An operation
// that is not listed does not act on one CMK.
//
// The columns: Creating, Enabled, Disabled, PendingImport, PendingDeletion, Archived,
// Destroyed.
var stateTable = map[Operation][len(states)]byte{
	//                                Cr   En   Di   PI   PD   Ar   De
	OpDescribeKey:                     {'+', '+', '+', '+', '+', '+', '+'},
	OpListKeyVersions:                 {'+', '+', '+', '+', '+', '+', '+'},
	OpSetAlias:                        {'-', '+', '+', '+', '-', '+', '-'},
	OpDeleteAlias:                     {'+', '+', '+', '+', '+', '+', '-'},
	OpSetDescription:                  {'-', '+', '+', '+', '-', '+', '-'},
	OpTagKey:                          {'-', '+', '+', '+', '+', '+', '-'},
	OpUntagKey:                        {'-', '+', '+', '+', '+', '+', '-'},
	OpEnableKey:                       {'-', '+', '+', '-', '-', '-', '-'},
	OpDisableKey:                      {'-', '+', '+', '-', '-', '+', '-'},
	OpArchiveKey:                      {'-', '+', '+', '-', '-', '-', '-'},
	OpCancelKeyArchive:                {'-', '-', '-', '-', '-', '+', '-'},
	OpScheduleKeyDeletion:             {'-', '-', '+', '+', '-', '-', '-'},
	OpCancelKeyDeletion:               {'-', '-', '-', '-', '+', '-', '-'},
	OpBindResource:                    {'-', '+', '-', '-', '-', '+', '-'},
	OpUnbindResource:                  {'-', '+', '+', '+', '+', '+', '-'},
	OpListBindings:                    {'+', '+', '+', '+', '+', '+', '+'},
	OpRotateKey:                       {'-', '+', '-', '-', '-', '-', '-'},
	OpSetRotation:                     {'-', '+', '+', '-', '-', '-', '-'},
	OpGetRotation:                     {'+', '+', '+', '+', '+', '+', '+'},
	OpSetMinimumVersion:               {'-', '+', '+', '-', '-', '+', '-'},
	OpTrimKeyVersion:                  {'-', '+', '+', '-', '-', '+', '-'},
	OpMoveKey:                         {'-', '+', '+', '-', '-', '+', '-'},
	OpParametersForImport:             {'-', '+', '-', '+', '-', '-', '-'},
	OpImportKeyMaterial:               {'-', '+', '-', '+', '-', '-', '-'},
	OpDeleteImportedKeyMaterial:       {'-', '+', '+', '-', '-', '+', '-'},
	OpEncrypt:                         {'-', '+', '-', '-', '-', '-', '-'},
	OpDecrypt:                         {'-', '+', '-', '-', '-', '+', '-'},
	OpReEncryptFrom:                   {'-', '+', '-', '-', '-', '+', '-'},
	OpReEncryptTo:                     {'-', '+', '-', '-', '-', '-', '-'},
	OpGenerateDataKey:                 {'-', '+', '-', '-', '-', '-', '-'},
	OpGenerateDataKeyWithoutPlaintext: {'-', '+', '-', '-', '-', '-', '-'},
	OpOpenDataKey:                     {'-', '+', '-', '-', '-', '+', '-'},
	OpDecryptTo:                       {'-', '+', '-', '-', '-', '+', '-'},
	OpGenerateDataKeyTo:               {'-', '+', '-', '-', '-', '-', '-'},
	OpCreateDataKey:                   {'-', '+', '-', '-', '-', '-', '-'},
	OpImportDataKey:                   {'-', '+', '-', '-', '-', '-', '-'},
	OpImportDataKeyCiphertext:         {'-', '+', '-', '-', '-', '-', '-'},
	OpDescribeDataKey:                 {'+', '+', '+', '+', '+', '+', '+'},
	OpSetDataKeyName:                  {'-', '+', '+', '+', '-', '+', '-'},
	OpSetDataKeyDescription:           {'-', '+', '+', '+', '-', '+', '-'},
	OpEnableDataKey:                   {'-', '+', '+', '+', '-', '+', '-'},
	OpDisableDataKey:                  {'-', '+', '+', '+', '+', '+', '-'},
	OpScheduleDataKeyDeletion:         {'-', '+', '+', '+', '+', '+', '-'},
	OpCancelDataKeyDeletion:           {'-', '+', '+', '+', '-', '+', '-'},
	OpGetDataKeyCiphertext:            {'-', '+', '-', '-', '-', '+', '-'},
	OpOpenNamedDataKey:                {'-', '+', '-', '-', '-', '+', '-'},
	OpOpenNamedDataKeyTo:              {'-', '+', '-', '-', '-', '+', '-'},
	OpPublicKey:                       {'-', '+', '-', '-', '-', '+', '-'},
	OpSign:                            {'-', '+', '-', '-', '-', '-', '-'},
	OpVerify:                          {'-', '+', '-', '-', '-', '+', '-'},
	OpAsymmetricEncrypt:               {'-', '+', '-', '-', '-', '-', '-'},
	OpAsymmetricDecrypt:               {'-', '+', '-', '-', '-', '+', '-'},
	OpGenerateMac:                     {'-', '+', '-', '-', '-', '-', '-'},
	OpVerifyMac:                       {'-', '+', '-', '-', '-', '+', '-'},

	OpGenerateDataKeyPair:                 {'-', '+', '-', '-', '-', '-', '-'},
	OpGenerateDataKeyPairWithoutPlaintext: {'-', '+', '-', '-', '-', '-', '-'},
}

// allows reports whether state s allows operation op.
func (s KeyState) allows(op Operation) bool {
	row, listed := stateTable[op]
	for i, column := range states {
		if column == s {
			return listed && row[i] == '+'
		}
	}
	return false
}

// withoutMaterial returns the state that follows s when the imported material is removed.
// Other states do not change.
func (s KeyState) withoutMaterial() KeyState {
	if s == Enabled || s == Disabled || s == Archived {
		return PendingImport
	}
	return s
}

// remedies says which operation leads out of a state.
var remedies = map[KeyState]string{
	Creating:        "CreateKey is in progress, or is rolled back once its driver is available; DeleteAlias frees the alias before that",
	Enabled:         "DisableKeys disables the key",
	Disabled:        "EnableKeys enables the key",
	PendingImport:   "ImportKeyMaterial enables the key",
	PendingDeletion: "CancelKeyDeletion disables the key, until its DeletionDate",
	Archived:        "CancelKeyArchive enables the key",
}

// refuse returns the error of an operation that the state does not allow.
func (s KeyState) refuse(op Operation, key string) error {
	e := &Error{Op: op, Key: key, State: s, Err: ErrKeyState}
	if remedy, ok := remedies[s]; ok {
		e.Err = fmt.Errorf("%w; %s", ErrKeyState, remedy)
	}
	return e
}
