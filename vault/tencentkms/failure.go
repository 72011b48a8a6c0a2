package tencentkms

import (
	"context"
	"errors"
	"slices"

	"strongroom.example/vault"
)

// The error codes of the API that every service of the cloud shares.
const (
	invalidAction            = "InvalidAction"
	invalidAuthorization     = "AuthFailure.InvalidAuthorization"
	noSuchVersion            = "NoSuchVersion"
	requestLimitExceeded     = "RequestLimitExceeded"
	requestSizeLimitExceeded = "RequestSizeLimitExceeded"
	secretIDNotFound         = "AuthFailure.SecretIdNotFound"
	signatureExpire          = "AuthFailure.SignatureExpire"
	signatureFailure         = "AuthFailure.SignatureFailure"
	tokenFailure             = "AuthFailure.TokenFailure"
	unknownParameter         = "UnknownParameter"
	unsupportedProtocol      = "UnsupportedProtocol"
)

// The error codes of the service KMS, as its SDK of release v1.3.166 has them.
const (
	cmkUsed                    = "FailedOperation.CmkUsedByCloudProduct"
	decryptError               = "FailedOperation.DecryptError"
	internalError              = "InternalError"
	invalidParameter           = "InvalidParameter"
	decryptMaterialError       = "InvalidParameter.DecryptMaterialError"
	invalidPendingWindowInDays = "InvalidParameter.InvalidPendingWindowInDays"
	aliasAlreadyExists         = "InvalidParameterValue.AliasAlreadyExists"
	dataKeyNameAlreadyExists   = "InvalidParameterValue.DataKeyNameAlreadyExists"
	duplicatedDataKeyID        = "InvalidParameterValue.DuplicatedDataKeyId"
	duplicatedKeyID            = "InvalidParameterValue.DuplicatedKeyId"
	invalidAlias               = "InvalidParameterValue.InvalidAlias"
	invalidCiphertext          = "InvalidParameterValue.InvalidCiphertext"
	invalidDataKeyID           = "InvalidParameterValue.InvalidDataKeyId"
	invalidDataKeyName         = "InvalidParameterValue.InvalidDataKeyName"
	invalidHsmClusterID        = "InvalidParameterValue.InvalidHsmClusterId"
	invalidImportKeyMaterial   = "InvalidParameterValue.InvalidImportKeyMaterial"
	invalidKeyID               = "InvalidParameterValue.InvalidKeyId"
	invalidKeyUsage            = "InvalidParameterValue.InvalidKeyUsage"
	invalidPlaintext           = "InvalidParameterValue.InvalidPlaintext"
	invalidType                = "InvalidParameterValue.InvalidType"
	materialNotMatch           = "InvalidParameterValue.MaterialNotMatch"
	tagKeysDuplicated          = "InvalidParameterValue.TagKeysDuplicated"
	dataKeyLimitExceeded       = "LimitExceeded.DataKeyLimitExceeded"
	missingParameter           = "MissingParameter"
	rotateRateLimited          = "RequestLimitExceeded.RotateRateLimited"
	bindingNotFound            = "ResourceUnavailable.CloudResourceBindingNotFound"
	cmkArchived                = "ResourceUnavailable.CmkArchived"
	cmkDisabled                = "ResourceUnavailable.CmkDisabled"
	cmkNotFound                = "ResourceUnavailable.CmkNotFound"
	cmkNotPendingDelete        = "ResourceUnavailable.CmkNotPendingDelete"
	cmkShouldBeDisabled        = "ResourceUnavailable.CmkShouldBeDisabled"
	cmkStateNotSupport         = "ResourceUnavailable.CmkStateNotSupport"
	dataKeyDisabled            = "ResourceUnavailable.DataKeyDisabled"
	dataKeyNotFound            = "ResourceUnavailable.DataKeyNotFound"
	dataKeyNotPendingDelete    = "ResourceUnavailable.DataKeyNotPendingDelete"
	dataKeyPendingDelete       = "ResourceUnavailable.DataKeyPendingDelete"
	dataKeyStateNotSupport     = "ResourceUnavailable.DataKeyStateNotSupport"
	keyPendingDelete           = "ResourceUnavailable.KeyPendingDelete"
	notPurchased               = "ResourceUnavailable.NotPurchased"
	tokenExpired               = "ResourceUnavailable.TokenExpired"
	unauthorizedOperation      = "UnauthorizedOperation"
	unsupportedOperation       = "UnsupportedOperation"
	externalCmkCanNotRotate    = "UnsupportedOperation.ExternalCmkCanNotRotate"
	notExternalCmk             = "UnsupportedOperation.NotExternalCmk"
	rotateNotSupported         = "UnsupportedOperation.RotateNotSupported"
	temporaryUnavailable       = "UnsupportedOperation.ServiceTemporaryUnavailable"
	unsupportedKeyUsage        = "UnsupportedOperation.UnsupportedKeyUsageInCurrentRegion"
)

// A failure is an error of the API. Its message holds no secret.
type failure struct{ code, message string }

func (f failure) Error() string { return f.code + ": " + f.message }

// A rule maps an error of the vault to a code of the API.
type rule struct {
	err  error
	code string
	// message is the message of the response. If it is empty, the response has the text of the
	// error. Set it for errors whose text says something about the machine, because clients
	// are not to learn it.
	message string
}

// rules are tried in order, and refine then looks at the action.
var rules = []rule{
	{vault.ErrDenied, unauthorizedOperation, "The principal may not do this."},
	{vault.ErrNotFound, cmkNotFound, "The CMK does not exist."},
	{vault.ErrKeyBound, cmkUsed, ""},
	{vault.ErrDataKeyState, dataKeyStateNotSupport, ""},
	{vault.ErrKeyState, cmkStateNotSupport, ""},
	{vault.ErrImportToken, tokenExpired, ""},
	{vault.ErrOtherMaterial, materialNotMatch, ""},
	{vault.ErrImport, decryptMaterialError, ""},
	{vault.ErrUsage, invalidKeyUsage, ""},
	{vault.ErrCiphertext, invalidCiphertext, "The ciphertext cannot be decrypted, or the context is another."},
	{vault.ErrExists, aliasAlreadyExists, "Another CMK or data key has the name."},
	{vault.ErrRotatedRecently, rotateRateLimited, ""},
	{vault.ErrMinimumVersion, invalidCiphertext, ""},
	{vault.ErrThrottled, requestLimitExceeded, "The limit is reached; try again later."},
	{vault.ErrUnsupported, unsupportedOperation, ""},
	{vault.ErrTooLarge, invalidParameter, ""},
	{vault.ErrInvalid, invalidParameter, ""},
	{vault.ErrUnavailable, temporaryUnavailable, "The vault or the device cannot do this now."},
	{vault.ErrLockedMemory, temporaryUnavailable, "The vault lacks memory."},
	{vault.ErrStorageFull, temporaryUnavailable, "The vault lacks disk space."},
	{vault.ErrAuditUnavailable, temporaryUnavailable, "The vault cannot write its audit log."},
	{vault.ErrClosed, temporaryUnavailable, "The vault is closed."},
}

// symmetricActions document a code for each state; the others have CmkStateNotSupport.
var symmetricActions = []string{"Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey", "ImportDataKey"}

// failureOf returns the failure that err is for a client, and logs causes that it hides.
func (h *Handler) failureOf(err error, action, id string) failure {
	var f failure
	if errors.As(err, &f) {
		return f
	}
	f = failure{internalError, "The vault could not do this; its log has the cause by the request's id."}
	for _, r := range rules {
		if errors.Is(err, r.err) {
			f = failure{r.code, r.message}
			break
		}
	}
	gone := errors.Is(err, context.Canceled) // the client has, and nothing is wrong here
	if !gone && (f.code == internalError || f.code == temporaryUnavailable) {
		h.logger.Error("tencentkms: request failed", "request", id, "action", action, "error", err)
	}
	if f.message == "" {
		f.message = err.Error()
	}
	var ve *vault.Error
	if errors.As(err, &ve) {
		f.code = refine(f.code, action, ve.State)
		if ve.DataKey != "" && f.code == cmkNotFound {
			f = failure{dataKeyNotFound, "The data key does not exist."}
		}
	}
	return f
}

// general is a code of rules for an action.
type general struct{ code, action string }

// refinements are the codes that the service documents for an action in place of a general one.
var refinements = map[general]string{
	{aliasAlreadyExists, "GenerateDataKey"}:             dataKeyNameAlreadyExists,
	{aliasAlreadyExists, "ImportDataKey"}:               dataKeyNameAlreadyExists,
	{aliasAlreadyExists, "UpdateDataKeyName"}:           dataKeyNameAlreadyExists,
	{invalidCiphertext, "ImportDataKey"}:                invalidImportKeyMaterial,
	{invalidCiphertext, "AsymmetricRsaDecrypt"}:         decryptError,
	{invalidCiphertext, "AsymmetricSm2Decrypt"}:         decryptError,
	{invalidKeyUsage, "RotateKey"}:                      rotateNotSupported,
	{invalidKeyUsage, "EnableKeyRotation"}:              rotateNotSupported,
	{invalidParameter, "Encrypt"}:                       invalidPlaintext,
	{invalidParameter, "ScheduleKeyDeletion"}:           invalidPendingWindowInDays,
	{invalidParameter, "UpdateAlias"}:                   invalidAlias,
	{requestLimitExceeded, "RotateKey"}:                 rotateRateLimited,
	{unsupportedOperation, "CreateKey"}:                 unsupportedKeyUsage,
	{unsupportedOperation, "DeleteImportedKeyMaterial"}: notExternalCmk,
	{unsupportedOperation, "EnableKeyRotation"}:         externalCmkCanNotRotate,
	{unsupportedOperation, "GetParametersForImport"}:    notExternalCmk,
	{unsupportedOperation, "ImportKeyMaterial"}:         notExternalCmk,
	{unsupportedOperation, "RotateKey"}:                 externalCmkCanNotRotate,
}

// refine returns the code for an action and for the state of the CMK in place of a general one.
func refine(code, action string, state vault.KeyState) string {
	if refined, ok := refinements[general{code, action}]; ok {
		return refined
	}
	if code == dataKeyStateNotSupport {
		return refineDataKey(action, state)
	}
	if code != cmkStateNotSupport {
		return code
	}
	if action == "GetDataKeyPlaintext" && state == vault.Disabled {
		return cmkDisabled
	}
	switch {
	case state == vault.Destroyed:
		return cmkNotFound
	case action == "CancelKeyDeletion":
		return cmkNotPendingDelete
	case action == "ScheduleKeyDeletion" && state == vault.Enabled:
		return cmkShouldBeDisabled
	case !slices.Contains(symmetricActions, action):
		return cmkStateNotSupport
	case state == vault.Disabled:
		return cmkDisabled
	case state == vault.Archived:
		return cmkArchived
	case state == vault.PendingDeletion:
		return keyPendingDelete
	}
	return cmkStateNotSupport
}

// refineDataKey returns the code for an action that the state of a data key does not allow.
func refineDataKey(action string, state vault.KeyState) string {
	switch {
	case action == "CancelDataKeyDeletion":
		return dataKeyNotPendingDelete
	case action == "GetDataKeyPlaintext" && state == vault.Disabled:
		return dataKeyDisabled
	case action == "GetDataKeyPlaintext":
		return dataKeyPendingDelete
	}
	return dataKeyStateNotSupport
}
