package tpm

import "github.com/google/go-tpm/tpm2"

// A remedy is how the driver handles a response code before it returns an error to the
// caller.
type remedy uint8

const (
	// surface: return the error, because a second attempt would fail alike, or do harm.
	surface remedy = iota
	// resend: send the same bytes again after a pause, because the TPM has not executed
	// the command and the nonces are unchanged.
	resend
	// free: make room in the TPM, then repeat.
	free
	// reopen: the handles, contexts or sessions are gone; connect to the TPM again, then
	// repeat.
	reopen
)

// remedyOf classifies a response code (TPM 2.0 Library, Part 2, 6.6).
func remedyOf(code tpm2.TPMRC) remedy {
	switch code {
	case tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting, tpm2.TPMRCNVRate, tpm2.TPMRCNVUnavailable, tpm2.TPMRCCanceled:
		return resend
	case tpm2.TPMRCObjectMemory, tpm2.TPMRCMemory:
		return free
	case tpm2.TPMRCSessionMemory, tpm2.TPMRCSessionHandles, tpm2.TPMRCContextGap,
		tpm2.TPMRCInitialize, tpm2.TPMRCReboot:
		return reopen
	}
	if referenceH0 <= code && code <= referenceS6 || base(code) == tpm2.TPMRCHandle {
		return reopen
	}
	return surface
}

// The range of warnings that a handle or a session is not loaded.
const (
	referenceH0 tpm2.TPMRC = 0x910
	referenceS6 tpm2.TPMRC = 0x91E
)

// base removes from a code the number of the parameter, handle or session that it refers
// to.
func base(code tpm2.TPMRC) tpm2.TPMRC {
	const format1, number = 0x080, 0x0BF
	if code&format1 != 0 {
		return code & number
	}
	return code
}
