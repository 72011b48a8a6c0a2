package tpm

import (
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

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
