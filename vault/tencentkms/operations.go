package tencentkms

import (
	"slices"

	"strongroom.example/vault"
)

// An Operation is an action of the API, version 2019-01-18, as release v1.3.166 of its SDK
// has it.
type Operation struct {
	// Action is the operation's name, as requests have it in the header X-TC-Action.
	Action string
	// Refusal is the error code with which the handler refuses the operation. It is empty if
	// the operation is served.
	Refusal string
	// Note says what differs from the service or, for an operation that is refused, why.
	Note string

	// post says that a GET is refused, because a parameter is a plaintext.
	post  bool
	serve func(call, []byte) (reply, error)
}

// Served reports whether the handler serves the operation.
func (o Operation) Served() bool { return o.Refusal == "" }

// Operations returns all operations of the API, ordered by Action.
func Operations() []Operation { return slices.Clone(operations) }

// operation returns the operation of that name.
func operation(action string) (Operation, bool) {
	for _, o := range operations {
		if o.Action == action {
			return o, true
		}
	}
	return Operation{}, false
}

// Why operations are refused.
const (
	whiteBox = "white-box keys are not a part of the vault"
	quantum  = "the vault has no post-quantum algorithms"
)

// Notes on operations that are served.
const (
	rotation       = "replaces the whole Rotation of the CMK, also its Uses"
	partly         = "the CMKs before one that fails, and those after it, are changed nevertheless"
	partlyDataKeys = "the data keys before one that fails, and those after it, are changed nevertheless"
	sealed         = "EncryptionAlgorithm is RSAES_OAEP_SHA_256, SM2 or SM2_C1C3C2_ASN1"
)

var operations = []Operation{
	{Action: "ArchiveKey", serve: served(archiveKey)},
	{Action: "AsymmetricRsaDecrypt", serve: served(asymmetricRsaDecrypt)},
	{Action: "AsymmetricSm2Decrypt", serve: served(asymmetricSm2Decrypt)},
	{Action: "BindCloudResource", serve: served(bindCloudResource), Note: "a bound CMK cannot be disabled, archived or deleted; imported material still expires"},
	{Action: "CancelDataKeyDeletion", serve: served(cancelDataKeyDeletion)},
	{Action: "CancelKeyArchive", serve: served(cancelKeyArchive)},
	{Action: "CancelKeyDeletion", serve: served(cancelKeyDeletion)},
	{Action: "CreateKey", serve: served(createKey), Note: "HsmClusterId names a driver of the vault"},
	{Action: "CreateWhiteBoxKey", Refusal: notPurchased, Note: whiteBox},
	{Action: "Decrypt", serve: served(decrypt), Note: sealed},
	{Action: "DeleteImportedKeyMaterial", serve: served(deleteImportedKeyMaterial)},
	{Action: "DeleteWhiteBoxKey", Refusal: notPurchased, Note: whiteBox},
	{Action: "DescribeDataKey", serve: served(describeDataKey), Note: "KeyName and HsmClusterId are empty if the principal may not describe the CMK"},
	{Action: "DescribeDataKeys", serve: served(describeDataKeys), Note: "KeyName and HsmClusterId are empty if the principal may not describe the CMK"},
	{Action: "DescribeKey", serve: served(describeKey)},
	{Action: "DescribeKeys", serve: served(describeKeys)},
	{Action: "DescribeWhiteBoxDecryptKey", Refusal: notPurchased, Note: whiteBox},
	{Action: "DescribeWhiteBoxDeviceFingerprints", Refusal: notPurchased, Note: whiteBox},
	{Action: "DescribeWhiteBoxKey", Refusal: notPurchased, Note: whiteBox},
	{Action: "DescribeWhiteBoxKeyDetails", Refusal: notPurchased, Note: whiteBox},
	{Action: "DescribeWhiteBoxServiceStatus", Refusal: notPurchased, Note: whiteBox},
	{Action: "DisableDataKey", serve: served(disableDataKey)},
	{Action: "DisableDataKeys", serve: served(disableDataKeys), Note: partlyDataKeys},
	{Action: "DisableKey", serve: served(disableKey)},
	{Action: "DisableKeyRotation", serve: served(disableKeyRotation), Note: rotation},
	{Action: "DisableKeys", serve: served(disableKeys), Note: partly},
	{Action: "DisableWhiteBoxKey", Refusal: notPurchased, Note: whiteBox},
	{Action: "DisableWhiteBoxKeys", Refusal: notPurchased, Note: whiteBox},
	{Action: "EnableDataKey", serve: served(enableDataKey)},
	{Action: "EnableDataKeys", serve: served(enableDataKeys), Note: partlyDataKeys},
	{Action: "EnableKey", serve: served(enableKey)},
	{Action: "EnableKeyRotation", serve: served(enableKeyRotation), Note: rotation},
	{Action: "EnableKeys", serve: served(enableKeys), Note: partly},
	{Action: "EnableWhiteBoxKey", Refusal: notPurchased, Note: whiteBox},
	{Action: "EnableWhiteBoxKeys", Refusal: notPurchased, Note: whiteBox},
	{Action: "Encrypt", post: true, serve: served(encrypt)},
	{Action: "EncryptByWhiteBox", Refusal: notPurchased, Note: whiteBox},
	{Action: "GenerateDataKey", serve: served(generateDataKey), Note: sealed + "; with IsHostedByKms the principal needs CreateDataKey and OpenNamedDataKey, and without the second the data key is kept nevertheless"},
	{Action: "GenerateRandom", serve: served(generateRandom)},
	{Action: "GetDataKeyCiphertextBlob", serve: served(getDataKeyCiphertextBlob), Note: "the data key must be Enabled"},
	{Action: "GetDataKeyPlaintext", serve: served(getDataKeyPlaintext), Note: sealed},
	{Action: "GetKeyRotationStatus", serve: served(getKeyRotationStatus)},
	{Action: "GetParametersForImport", serve: served(getParametersForImport), Note: "also with the algorithms and the wrapping key SM2 that the vault has"},
	{Action: "GetPublicKey", serve: served(getPublicKey)},
	{Action: "GetRegions", serve: served(getRegions), Note: "returns Config.Region"},
	{Action: "GetServiceStatus", serve: served(getServiceStatus), Note: "ExclusiveHSMList has the drivers of the vault"},
	{Action: "ImportDataKey", post: true, serve: served(importDataKey), Note: "data keys have no tags, and an imported ciphertext has no EncryptionContext"},
	{Action: "ImportKeyMaterial", serve: served(importKeyMaterial)},
	{Action: "ListAlgorithms", serve: served(listAlgorithms), Note: "those of all drivers of the vault"},
	{Action: "ListDataKeyDetail", serve: served(listDataKeyDetail), Note: "each page reads all data keys"},
	{Action: "ListDataKeys", serve: served(listDataKeys), Note: "each page reads all data keys"},
	{Action: "ListKeyDetail", serve: served(listKeyDetail), Note: "each page reads all CMKs"},
	{Action: "ListKeys", serve: served(listKeys), Note: "each page reads all CMKs"},
	{Action: "OverwriteWhiteBoxDeviceFingerprints", Refusal: notPurchased, Note: whiteBox},
	{Action: "PostQuantumCryptoDecrypt", Refusal: unsupportedOperation, Note: quantum},
	{Action: "PostQuantumCryptoEncrypt", Refusal: unsupportedOperation, Note: quantum},
	{Action: "PostQuantumCryptoSign", Refusal: unsupportedOperation, Note: quantum},
	{Action: "PostQuantumCryptoVerify", Refusal: unsupportedOperation, Note: quantum},
	{Action: "ReEncrypt", serve: served(reEncrypt)},
	{Action: "RotateKey", serve: served(rotateKey), Note: "as often as Config.MinRotateInterval of the vault allows; the rotation has ended when the call returns"},
	{Action: "ScheduleDataKeyDeletion", serve: served(scheduleDataKeyDeletion), Note: "the data key must be Disabled"},
	{Action: "ScheduleKeyDeletion", serve: served(scheduleKeyDeletion)},
	{Action: "SignByAsymmetricKey", serve: served(signByAsymmetricKey), Note: "also with the other signature algorithms of the vault"},
	{Action: "UnbindCloudResource", serve: served(unbindCloudResource)},
	{Action: "UpdateAlias", serve: served(updateAlias)},
	{Action: "UpdateDataKeyDescription", serve: served(updateDataKeyDescription)},
	{Action: "UpdateDataKeyName", serve: served(updateDataKeyName)},
	{Action: "UpdateKeyDescription", serve: served(updateKeyDescription)},
	{Action: "VerifyByAsymmetricKey", serve: served(verifyByAsymmetricKey), Note: "also with the other signature algorithms of the vault"},
}

// none are the parameters of an operation that has none.
type none struct{}

func getRegions(c call, _ *none) (reply, error) {
	return reply{fields: struct{ Regions []string }{[]string{c.handler.region}}}, nil
}

type exclusiveHSM struct{ HsmClusterId, HsmClusterName string }

func getServiceStatus(c call, _ *none) (reply, error) {
	type status struct {
		ServiceEnabled                           bool
		InvalidType                              int // 1 is normal
		UserLevel                                int
		ProExpireTime, ProRenewFlag              int // nothing is bought, so that these are zero
		ProResourceId, SubscriptionInfo          string
		ExclusiveVSMEnabled, ExclusiveHSMEnabled bool
		ExclusiveHSMList                         []exclusiveHSM
		IsAllowedDataKeyHosted, IsAllowedSync    bool
	}
	s := status{ServiceEnabled: true, InvalidType: 1, IsAllowedDataKeyHosted: true, ExclusiveHSMList: []exclusiveHSM{}}
	for _, d := range c.handler.vault.Capabilities() {
		if d.Name != softDriver {
			s.ExclusiveHSMEnabled = true
			s.ExclusiveHSMList = append(s.ExclusiveHSMList, exclusiveHSM{d.Name, d.Device.Model})
		}
	}
	return reply{fields: s}, nil
}

type algorithmInfo struct{ KeyUsage, Algorithm string }

func listAlgorithms(c call, _ *none) (reply, error) {
	rows, err := c.ListAlgorithms(c)
	if err != nil {
		return reply{}, err
	}
	symmetric, decrypting, signing := []algorithmInfo{}, []algorithmInfo{}, []algorithmInfo{}
	add := func(list *[]algorithmInfo, usage, algorithm string) {
		if info := (algorithmInfo{usage, algorithm}); !slices.Contains(*list, info) {
			*list = append(*list, info)
		}
	}
	for _, row := range rows {
		usage := usageName(row.Usage, row.Spec)
		switch row.Usage {
		case vault.EncryptDecrypt:
			add(&symmetric, usage, symmetricAlgorithm(c.handler.vault.Edition()))
		case vault.AsymmetricDecrypt:
			add(&decrypting, usage, string(row.Spec))
		case vault.SignVerify:
			add(&signing, usage, row.Algorithm)
		}
	}
	return reply{fields: struct {
		SymmetricAlgorithms, AsymmetricAlgorithms, AsymmetricSignVerifyAlgorithms []algorithmInfo
	}{symmetric, decrypting, signing}}, nil
}

// symmetricAlgorithm returns the name that the API has for the cipher of an edition.
func symmetricAlgorithm(e vault.Edition) string {
	if e == vault.SM {
		return "SM4"
	}
	return "AES_256"
}
