// Package tpm keeps keys in a TPM 2.0 (TPM 2.0 Library Specification): the chip of this
// machine, or a TPM behind a socket.
//
// Keys are resident: the TPM generates and uses them, and wraps them by its storage root
// key (SRK) into the blob that the driver returns. The driver distinguishes a blob of
// another TPM, or of this one before it was cleared, from a damaged blob.
//
// The TPM executes one command at a time, and one goroutine at a time uses it; other
// calls wait in a bounded queue. Every command that carries or returns a secret runs in
// an HMAC session that is salted to the SRK and encrypts its parameters, so that a probe
// on the bus does not see the secret.
//
// No object of this driver is subject to the TPM's protection against dictionary attacks,
// and the driver generates the authorization values. Therefore nothing that the driver
// does by itself can lock the TPM. ResetLockout with a wrong authorization locks the
// lockout authorization.
//
// A real chip performs 2 to 40 operations a second. It suits keys that sign now and then,
// and the root of a vault, which it releases once when the vault is opened.
package tpm
