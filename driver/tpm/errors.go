package tpm

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/queue"
	"strongroom.example/driver/tpm/internal/transport"
	"strongroom.example/driver/tpm/internal/wire"
)

// errOther is the error for data that was made under another storage root key.
var errOther = fmt.Errorf("its storage root key is not this TPM's: %w", driver.ErrWrongDevice)

var (
	errClosed = errors.New("closed")
	errSpec   = errors.New("spec not offered")
	errAlg    = errors.New("algorithm not offered for this key")
	errLength = errors.New("input of a wrong length")
	errAbsent = errors.New("no blob")
	errWrong  = errors.New("wrong ciphertext")
)

// fault returns a driver.Error. The cause must not hold a secret.
func fault(op string, class driver.Class, cause error) error {
	return &driver.Error{Op: op, Class: class, Err: cause}
}

// classify turns the error of a call into a driver.Error. It returns context errors and
// classified errors unchanged.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	var done *driver.Error
	var lost *transport.LostError
	switch {
	case errors.As(err, &done) || err == context.Canceled || err == context.DeadlineExceeded:
		return err
	case err == queue.ErrFull || err == queue.ErrLate:
		return fault(op, driver.Throttled, err)
	case err == queue.ErrClosed, errors.Is(err, driver.ErrWrongDevice), errors.As(err, &lost):
		return fault(op, driver.Unavailable, err)
	}
	code := wire.CodeOf(err)
	return &driver.Error{Op: op, Class: classOf(code), Code: uint64(code), Err: advise(code, err)}
}

// classOf returns the class of a response code, for operations without a more specific
// one.
func classOf(code tpm2.TPMRC) driver.Class {
	switch wire.ActionOf(code) {
	case wire.Resend, wire.FreeSlots:
		return driver.Throttled
	case wire.Reconnect:
		return driver.Unavailable
	}
	switch wire.Base(code) {
	case tpm2.TPMRCIntegrity, tpm2.TPMRCBinding:
		return driver.Authentic
	case tpm2.TPMRCAuthFail, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthUnavailable, tpm2.TPMRCPolicyFail,
		tpm2.TPMRCPolicy, tpm2.TPMRCLockout, tpm2.TPMRCExpired, tpm2.TPMRCHierarchy:
		return driver.Denied
	case tpm2.TPMRCCommandCode:
		return driver.Unsupported
	}
	return driver.Unknown
}

// advise adds the remedy for codes that report a state of the machine.
func advise(code tpm2.TPMRC, err error) error {
	var advice string
	switch {
	case code == tpm2.TPMRCLockout:
		advice = "the TPM is locked out after wrong authorizations by some program; it recovers by itself in time, or by ResetLockout (tpm2_dictionarylockout -c)"
	case wire.ActionOf(code) == wire.FreeSlots:
		advice = "another program fills the TPM; use the kernel's resource manager /dev/tpmrm0"
	case wire.Base(code) == tpm2.TPMRCHierarchy:
		advice = "the owner (storage) hierarchy of the TPM is off; switch it on in the firmware setup (\"Storage Hierarchy\"), or turn the machine off and on if a program switched it off (TPM2_HierarchyControl)"
	case code == tpm2.TPMRCFailure:
		advice = "the TPM reports that it is broken; turn the machine off and on"
	case code == tpm2.TPMRCUpgrade:
		advice = "the TPM's firmware is being upgraded"
	default:
		return err
	}
	return fmt.Errorf("%w: %s", err, advice)
}
