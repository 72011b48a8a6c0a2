package awskms

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"strongroom.example/vault"
)

// The error codes that every service of the cloud shares.
const (
	accessDenied               = "AccessDeniedException"
	incompleteSignature        = "IncompleteSignatureException"
	invalidSignature           = "InvalidSignatureException"
	malformedHTTPRequest       = "MalformedHttpRequestException"
	missingAuthenticationToken = "MissingAuthenticationTokenException"
	requestEntityTooLarge      = "RequestEntityTooLargeException"
	serialization              = "SerializationException"
	throttling                 = "ThrottlingException"
	unknownOperation           = "UnknownOperationException"
	unrecognizedClient         = "UnrecognizedClientException"
	validation                 = "ValidationException"
)

// The error codes of the service KMS.
const (
	alreadyExists          = "AlreadyExistsException"
	customKeyStoreNotFound = "CustomKeyStoreNotFoundException"
	dependencyTimeout      = "DependencyTimeoutException"
	disabled               = "DisabledException"
	dryRunOperation        = "DryRunOperationException"
	incorrectKey           = "IncorrectKeyException"
	incorrectKeyMaterial   = "IncorrectKeyMaterialException"
	internalException      = "KMSInternalException"
	invalidAliasName       = "InvalidAliasNameException"
	invalidARN             = "InvalidArnException"
	invalidCiphertext      = "InvalidCiphertextException"
	invalidGrantID         = "InvalidGrantIdException"
	invalidGrantToken      = "InvalidGrantTokenException"
	invalidImportToken     = "InvalidImportTokenException"
	invalidKeyUsage        = "InvalidKeyUsageException"
	invalidMAC             = "KMSInvalidMacException"
	invalidMarker          = "InvalidMarkerException"
	invalidKMSSignature    = "KMSInvalidSignatureException"
	invalidState           = "KMSInvalidStateException"
	keyUnavailable         = "KeyUnavailableException"
	limitExceeded          = "LimitExceededException"
	notFound               = "NotFoundException"
	tagFault               = "TagException"
	unsupportedOperation   = "UnsupportedOperationException"
)

// A failure is an error of the API. Its message holds no secret.
type failure struct{ code, message string }

func (f failure) Error() string { return f.code + ": " + f.message }

// status returns the HTTP status of a failure. A client may repeat a request that failed with
// 500.
func (f failure) status() int {
	switch f.code {
	case internalException, keyUnavailable, dependencyTimeout:
		return http.StatusInternalServerError
	case requestEntityTooLarge:
		return http.StatusRequestEntityTooLarge
	case unknownOperation:
		return http.StatusNotFound
	}
	return http.StatusBadRequest
}

// encode returns the body of the response.
func (f failure) encode() []byte {
	body, _ := json.Marshal(struct { // a struct of strings does not fail
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{f.code, f.message})
	return body
}

// A rule maps an error of the vault to a code of the API.
type rule struct {
	err  error
	code string
	// message is that of the response; empty means the text of the error. A text about the
	// machine is not for clients.
	message string
}

// rules are tried in order, and refine then looks at the operation.
var rules = []rule{
	{vault.ErrDenied, accessDenied, "The principal is not authorized to perform this operation on the key."},
	{vault.ErrNotFound, notFound, "The key does not exist."},
	{vault.ErrKeyState, invalidState, ""},
	{vault.ErrImportToken, invalidImportToken, ""},
	{vault.ErrOtherMaterial, incorrectKeyMaterial, ""},
	{vault.ErrImport, invalidCiphertext, ""},
	{vault.ErrUsage, invalidKeyUsage, ""},
	{vault.ErrCiphertext, invalidCiphertext, "The ciphertext cannot be decrypted, or the encryption context is another."},
	{vault.ErrExists, alreadyExists, "A key has the alias already."},
	{vault.ErrRotatedRecently, limitExceeded, ""},
	{vault.ErrMinimumVersion, invalidCiphertext, ""},
	{vault.ErrToken, invalidMarker, "The marker was not made by this vault for this list and principal."},
	{vault.ErrThrottled, throttling, "Rate exceeded; try again later."},
	{vault.ErrUnsupported, unsupportedOperation, ""},
	{vault.ErrTooLarge, validation, ""},
	{vault.ErrInvalid, validation, ""},
	{vault.ErrUnavailable, keyUnavailable, "The vault or the device cannot do this now."},
	{vault.ErrLockedMemory, dependencyTimeout, "The vault lacks memory."},
	{vault.ErrStorageFull, dependencyTimeout, "The vault lacks disk space."},
	{vault.ErrAuditUnavailable, dependencyTimeout, "The vault cannot write its audit log."},
	{vault.ErrClosed, dependencyTimeout, "The vault is closed."},
}

// failureOf returns the failure that err is for a client, and logs causes that it hides.
func (h *Handler) failureOf(err error, op, id string) failure {
	var f failure
	if errors.As(err, &f) {
		return f
	}
	f = failure{internalException, "The vault could not do this; its log has the cause by the request's id."}
	for _, r := range rules {
		if errors.Is(err, r.err) {
			f = failure{r.code, r.message}
			break
		}
	}
	if f.message == "" {
		f.message = err.Error()
	}
	var ve *vault.Error
	if errors.As(err, &ve) {
		f.code = refine(f.code, op, ve.State)
	}
	gone := errors.Is(err, context.Canceled) // the client has, and nothing is wrong here
	if !gone && f.status() == http.StatusInternalServerError {
		h.logger.Error("awskms: request failed", "request", id, "operation", op, "error", err)
	}
	return f
}

// general is a code of rules for an operation.
type general struct{ code, op string }

// refinements are the codes that the service documents for an operation in place of a general
// one.
var refinements = map[general]string{
	{invalidKeyUsage, "EnableKeyRotation"}:  unsupportedOperation,
	{invalidKeyUsage, "DisableKeyRotation"}: unsupportedOperation,
	{invalidKeyUsage, "RotateKeyOnDemand"}:  unsupportedOperation,
	{invalidKeyUsage, "GetPublicKey"}:       unsupportedOperation,
	{validation, "TagResource"}:             tagFault,
	{validation, "CreateAlias"}:             invalidAliasName,
	{validation, "Sign"}:                    invalidKeyUsage,
	{validation, "Verify"}:                  invalidKeyUsage,
}

// usingKeys are the operations that use a key, which have KeyUnavailableException.
var usingKeys = []string{
	"Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext",
	"GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext", "GenerateMac", "VerifyMac",
	"Sign", "Verify", "GetPublicKey",
}

// refine returns the code for an operation and for the state of the CMK in place of a general
// one.
func refine(code, op string, state vault.KeyState) string {
	if refined, ok := refinements[general{code, op}]; ok {
		return refined
	}
	used := slices.Contains(usingKeys, op)
	switch {
	case code == keyUnavailable && !used:
		return dependencyTimeout
	case code != invalidState:
		return code
	case state == vault.Destroyed:
		return notFound
	case state == vault.Disabled && (used || slices.Contains([]string{"EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"}, op)):
		return disabled
	}
	return code
}
