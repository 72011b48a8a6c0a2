package tpm

import "github.com/google/go-tpm/tpm2"

// A remedy is what is done about a response code before the caller hears of it.
type remedy uint8

const (
	// surface: a second try would end alike, or do harm.
	surface remedy = iota
	// resend: the TPM did nothing; the same bytes again after a pause. Nonces have not
	// moved.
	resend
	// free: make room in the TPM, then again.
	free
	// reopen: handles, contexts or sessions are gone; find the TPM anew, then again.
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

// The warnings that a handle, or a session, is not there.
const (
	referenceH0 tpm2.TPMRC = 0x910
	referenceS6 tpm2.TPMRC = 0x91E
)

// base strips which parameter, handle or session a code is about.
func base(code tpm2.TPMRC) tpm2.TPMRC {
	const format1, number = 0x080, 0x0BF
	if code&format1 != 0 {
		return code & number
	}
	return code
}
