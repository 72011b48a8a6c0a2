package awskms

import "slices"

// An Operation is an operation of the API, as release v1.62.6 of the SDK for Go v2 has it.
type Operation struct {
	// Name stands in the header X-Amz-Target, after "TrentService.".
	Name string
	// Refusal is the error code with which the handler refuses the operation. It is empty if
	// the operation is served.
	Refusal string
	// Note says what differs from the service or, for an operation that is refused, why.
	Note string

	serve func(call, []byte) (reply, error)
}

// Served reports whether the handler serves the operation.
func (o Operation) Served() bool { return o.Refusal == "" }

// Operations returns all operations of the API, ordered by Name.
func Operations() []Operation { return slices.Clone(operations) }

// operation returns the operation of that name.
func operation(name string) (Operation, bool) {
	for _, o := range operations {
		if o.Name == name {
			return o, true
		}
	}
	return Operation{}, false
}

// Why operations are refused.
const (
	grants    = "a grant of the vault narrows its own principal, and gives no permission to another one; use the vault's policies"
	policies  = "the vault has policies for all keys, and none for one key"
	regions   = "a vault has one region"
	stores    = "the drivers of a vault are given when it is opened"
	agreement = "the vault has no keys of usage KEY_AGREEMENT"
)

// Notes on operations that are served.
const (
	plain     = "without Recipient"
	rotation  = "replaces the whole Rotation of the key, also its Uses"
	aliasForm = "the name begins with a letter or digit"
	describes = "an alias needs the permission DescribeKey"
)

var operations = []Operation{
	{Name: "CancelKeyDeletion", serve: served(cancelKeyDeletion)},
	{Name: "ConnectCustomKeyStore", Refusal: unsupportedOperation, Note: stores},
	{Name: "CreateAlias", serve: served(createAlias), Note: aliasForm},
	{Name: "CreateCustomKeyStore", Refusal: unsupportedOperation, Note: stores},
	{Name: "CreateGrant", Refusal: unsupportedOperation, Note: grants},
	{Name: "CreateKey", serve: served(createKey), Note: "without Policy, MultiRegion and XksKeyId; CustomKeyStoreId names a driver of the vault"},
	{Name: "Decapsulate", Refusal: unsupportedOperation, Note: agreement},
	{Name: "Decrypt", serve: served(decrypt), Note: plain + "; with an asymmetric key, " + describes},
	{Name: "DeleteAlias", serve: served(deleteAlias)},
	{Name: "DeleteCustomKeyStore", Refusal: unsupportedOperation, Note: stores},
	{Name: "DeleteImportedKeyMaterial", serve: served(deleteImportedKeyMaterial)},
	{Name: "DeriveSharedSecret", Refusal: unsupportedOperation, Note: agreement},
	{Name: "DescribeCustomKeyStores", serve: served(describeCustomKeyStores), Note: "lists the drivers of the vault"},
	{Name: "DescribeKey", serve: served(describeKey)},
	{Name: "DisableKey", serve: on(disableKey)},
	{Name: "DisableKeyRotation", serve: on(disableKeyRotation), Note: rotation},
	{Name: "DisconnectCustomKeyStore", Refusal: unsupportedOperation, Note: stores},
	{Name: "EnableKey", serve: on(enableKey)},
	{Name: "EnableKeyRotation", serve: served(enableKeyRotation), Note: "every 90 to 365 days; " + rotation},
	{Name: "Encapsulate", Refusal: unsupportedOperation, Note: agreement},
	{Name: "Encrypt", serve: served(encrypt), Note: "with an asymmetric key, " + describes},
	{Name: "GenerateDataKey", serve: served(generateDataKey), Note: plain},
	{Name: "GenerateDataKeyPair", serve: served(generateDataKeyPair), Note: plain + "; not ECC_SECG_P256K1"},
	{Name: "GenerateDataKeyPairWithoutPlaintext", serve: served(generateDataKeyPairWithoutPlaintext), Note: "not ECC_SECG_P256K1"},
	{Name: "GenerateDataKeyWithoutPlaintext", serve: served(generateDataKeyWithoutPlaintext)},
	{Name: "GenerateMac", serve: served(generateMac), Note: "needs the permission DescribeKey"},
	{Name: "GenerateRandom", serve: served(generateRandom), Note: plain},
	{Name: "GetKeyLastUsage", serve: served(getKeyLastUsage), Note: "without CloudTrailEventId and KmsRequestId, and with SYMMETRIC_DEFAULT without Operation, which the audit log has; without TrackingStartDate for a key of before a repair, a restore or the counting of uses"},
	{Name: "GetKeyPolicy", Refusal: notFound, Note: policies},
	{Name: "GetKeyRotationStatus", serve: served(getKeyRotationStatus)},
	{Name: "GetParametersForImport", serve: served(getParametersForImport), Note: "WrappingKeySpec is RSA_2048 or SM2"},
	{Name: "GetPublicKey", serve: served(getPublicKey)},
	{Name: "ImportKeyMaterial", serve: served(importKeyMaterial), Note: "a key keeps the material of its first import"},
	{Name: "ListAliases", serve: served(listAliases), Note: "without dates; a page can be empty"},
	{Name: "ListGrants", Refusal: unsupportedOperation, Note: grants},
	{Name: "ListKeyPolicies", serve: served(listKeyPolicies), Note: "returns none, because " + policies},
	{Name: "ListKeyRotations", serve: served(listKeyRotations), Note: "without RotationType"},
	{Name: "ListKeys", serve: served(listKeys), Note: "lists the keys that the principal may describe; a page can be empty"},
	{Name: "ListResourceTags", serve: served(listResourceTags)},
	{Name: "ListRetirableGrants", Refusal: unsupportedOperation, Note: grants},
	{Name: "PutKeyPolicy", Refusal: unsupportedOperation, Note: policies},
	{Name: "ReEncrypt", serve: served(reEncrypt), Note: "SourceEncryptionAlgorithm and DestinationEncryptionAlgorithm are SYMMETRIC_DEFAULT"},
	{Name: "ReplicateKey", Refusal: unsupportedOperation, Note: regions},
	{Name: "RetireGrant", Refusal: unsupportedOperation, Note: grants},
	{Name: "RevokeGrant", Refusal: unsupportedOperation, Note: grants},
	{Name: "RotateKeyOnDemand", serve: served(rotateKeyOnDemand), Note: "as often as Config.MinRotateInterval of the vault allows; the rotation has ended when the call returns"},
	{Name: "ScheduleKeyDeletion", serve: served(scheduleKeyDeletion), Note: "disables an enabled key first, which needs that permission"},
	{Name: "Sign", serve: served(sign), Note: describes},
	{Name: "TagResource", serve: served(tagResource)},
	{Name: "UntagResource", serve: served(untagResource)},
	{Name: "UpdateAlias", serve: served(updateAlias), Note: aliasForm + "; needs the permission DescribeKey for both keys"},
	{Name: "UpdateCustomKeyStore", Refusal: unsupportedOperation, Note: stores},
	{Name: "UpdateKeyDescription", serve: served(updateKeyDescription), Note: "at most 1024 bytes"},
	{Name: "UpdatePrimaryRegion", Refusal: unsupportedOperation, Note: regions},
	{Name: "Verify", serve: served(verify), Note: describes},
	{Name: "VerifyMac", serve: served(verifyMac), Note: "needs the permission DescribeKey"},
}
