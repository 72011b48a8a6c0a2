package wire

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// Errors of [Command.Parse].
var (
	ErrResponse = errors.New("the response makes no sense: is this a TPM 2.0?")
	ErrForged   = errors.New("the response is not authentic: something stands between this program and the TPM")
	// ErrTPM12 is the error for a TPM 1.2, which sends the same response to every TPM 2.0
	// command.
	ErrTPM12 = fmt.Errorf("this is a TPM 1.2, and a TPM 2.0 is needed; some machines have both, one of which the firmware setup switches on: %w", errors.ErrUnsupported)
)

// A CodeError is the response code of a failed command.
type CodeError struct {
	Command tpm2.TPMCC
	Code    tpm2.TPMRC
}

func (e *CodeError) Error() string { return fmt.Sprintf("%s: %v", commandName(e.Command), e.Code) }

// CodeOf returns the response code in err, or 0.
func CodeOf(err error) tpm2.TPMRC {
	if err == nil {
		return tpm2.TPMRCSuccess
	}
	var own *CodeError
	if errors.As(err, &own) {
		return own.Code
	}
	var code tpm2.TPMRC
	if errors.As(err, &code) {
		return code
	}
	return 0
}

// An Action is how the driver handles a response code before it returns an error to the
// caller.
type Action uint8

const (
	// Report: return the error, because a second attempt would fail alike, or do harm.
	Report Action = iota
	// Resend: send the same bytes again after a pause, because the TPM has not executed
	// the command and the nonces are unchanged.
	Resend
	// FreeSlots: make room in the TPM, then repeat.
	FreeSlots
	// Reconnect: the handles, contexts or sessions are gone; connect to the TPM again,
	// then repeat.
	Reconnect
)

// ActionOf classifies a response code (TPM 2.0 Library, Part 2, 6.6).
func ActionOf(code tpm2.TPMRC) Action {
	switch code {
	case tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting, tpm2.TPMRCNVRate, tpm2.TPMRCNVUnavailable, tpm2.TPMRCCanceled:
		return Resend
	case tpm2.TPMRCObjectMemory, tpm2.TPMRCMemory:
		return FreeSlots
	case tpm2.TPMRCSessionMemory, tpm2.TPMRCSessionHandles, tpm2.TPMRCContextGap,
		tpm2.TPMRCInitialize, tpm2.TPMRCReboot:
		return Reconnect
	}
	if referenceH0 <= code && code <= referenceS6 || Base(code) == tpm2.TPMRCHandle {
		return Reconnect
	}
	return Report
}

// The range of warnings that a handle or a session is not loaded.
const (
	referenceH0 tpm2.TPMRC = 0x910
	referenceS6 tpm2.TPMRC = 0x91E
)

// Base removes from a code the number of the parameter, handle or session that it refers
// to.
func Base(code tpm2.TPMRC) tpm2.TPMRC {
	const format1, number = 0x080, 0x0BF
	if code&format1 != 0 {
		return code & number
	}
	return code
}

// AuthRefused reports whether a code rejects an authorization. A TPM uses the same codes
// for a session that is out of step.
func AuthRefused(code tpm2.TPMRC) bool {
	return Base(code) == tpm2.TPMRCBadAuth || Base(code) == tpm2.TPMRCAuthFail
}

// commandName returns the specification's name for a command that this package sends.
func commandName(code tpm2.TPMCC) string {
	names := map[tpm2.TPMCC]string{
		tpm2.TPMCCContextLoad:      "TPM2_ContextLoad",
		tpm2.TPMCCContextSave:      "TPM2_ContextSave",
		tpm2.TPMCCCreate:           "TPM2_Create",
		tpm2.TPMCCObjectChangeAuth: "TPM2_ObjectChangeAuth",
		tpm2.TPMCCECDHZGen:         "TPM2_ECDH_ZGen",
		tpm2.TPMCCFlushContext:     "TPM2_FlushContext",
		tpm2.TPMCCGetRandom:        "TPM2_GetRandom",
		tpm2.TPMCCGetTestResult:    "TPM2_GetTestResult",
		tpm2.TPMCCLoad:             "TPM2_Load",
		tpm2.TPMCCMAC:              "TPM2_HMAC",
		tpm2.TPMCCMACStart:         "TPM2_HMAC_Start",
		tpm2.TPMCCRSADecrypt:       "TPM2_RSA_Decrypt",
		tpm2.TPMCCSequenceComplete: "TPM2_SequenceComplete",
		tpm2.TPMCCSequenceUpdate:   "TPM2_SequenceUpdate",
		tpm2.TPMCCSign:             "TPM2_Sign",
		tpm2.TPMCCUnseal:           "TPM2_Unseal",
		tpm2.TPMCCStartup:          "TPM2_Startup",
		tpm2.TPMCCReadClock:        "TPM2_ReadClock",

		tpm2.TPMCCDictionaryAttackLockReset: "TPM2_DictionaryAttackLockReset",
	}
	if name, ok := names[code]; ok {
		return name
	}
	return fmt.Sprintf("TPM2 command 0x%X", uint32(code))
}
