// Package tpm keeps keys in a TPM 2.0: the chip of this machine, or one behind a
// socket.
//
// Keys are resident: made in the TPM, used in the TPM, and wrapped by its storage
// root key (SRK) into the blob that the driver returns. A blob of another TPM, or of
// this one before it was cleared, is told apart from one that is damaged.
//
// One goroutine owns the TPM. It executes one command at a time, as the chip does,
// and what waits for it waits in a bounded queue. All commands that carry or return
// a secret do so in an HMAC session that is salted to the SRK and encrypts its
// parameters, so that a probe on the bus sees none. No object takes part in the
// TPM's protection against dictionary attacks: authorization values are made by the
// driver, and nothing it does by itself can lock the TPM. ResetLockout, given a wrong
// authorization, locks that of the lockout itself.
//
// A real chip does 2 to 40 operations a second. It suits keys that sign now and then,
// and the root of a vault, which it hands out once.
package tpm
