package tpm

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
)

// errOther is the error for data that was made under another storage root key.
var errOther = fmt.Errorf("its storage root key is not this TPM's: %w", driver.ErrWrongDevice)

var (
	errClosed   = errors.New("closed")
	errSpec     = errors.New("spec not offered")
	errAlg      = errors.New("algorithm not offered for this key")
	errLength   = errors.New("input of a wrong length")
	errDamaged  = errors.New("the blob is damaged, or belongs to another key")
	errAbsent   = errors.New("no blob")
	errResponse = errors.New("the response makes no sense: is this a TPM 2.0?")
	errBusy     = errors.New("too many calls wait for the TPM")
	errLate     = errors.New("the TPM would not get to this call before its deadline")
	errMaterial = errors.New("material of a wrong length or form")
	errWrong    = errors.New("wrong ciphertext")
	errForged   = errors.New("the response is not authentic: something stands between this program and the TPM")
)

// errTPM12 is the error for a TPM 1.2, which answers every TPM 2.0 command alike.
var errTPM12 = fmt.Errorf("this is a TPM 1.2, and a TPM 2.0 is needed; some machines have both, one of which the firmware setup switches on: %w", errors.ErrUnsupported)

// fault returns a driver.Error. The cause must not hold a secret.
func fault(op string, class driver.Class, cause error) error {
	return &driver.Error{Op: op, Class: class, Err: cause}
}

// A codeError is the response code of a failed command.
type codeError struct {
	op   tpm2.TPMCC
	code tpm2.TPMRC
}

func (e *codeError) Error() string { return fmt.Sprintf("%s: %v", commandName(e.op), e.code) }

// A lostError reports that the connection ended. The TPM may have executed the command.
type lostError struct{ err error }

func (e *lostError) Error() string { return "the connection to the TPM ended: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// codeOf returns the response code in err, or 0.
func codeOf(err error) tpm2.TPMRC {
	if err == nil {
		return tpm2.TPMRCSuccess
	}
	var own *codeError
	if errors.As(err, &own) {
		return own.code
	}
	var code tpm2.TPMRC
	if errors.As(err, &code) {
		return code
	}
	return 0
}

// classify turns the error of a call into a driver.Error. It returns context errors and
// classified errors unchanged.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	var done *driver.Error
	var lost *lostError
	switch {
	case errors.As(err, &done) || err == context.Canceled || err == context.DeadlineExceeded:
		return err
	case errors.Is(err, driver.ErrWrongDevice), errors.As(err, &lost):
		return fault(op, driver.Unavailable, err)
	}
	code := codeOf(err)
	return &driver.Error{Op: op, Class: classOf(code), Code: uint64(code), Err: advise(code, err)}
}

// classOf returns the class of a response code, for operations without a more specific
// one.
func classOf(code tpm2.TPMRC) driver.Class {
	switch remedyOf(code) {
	case resend, free:
		return driver.Throttled
	case reopen:
		return driver.Unavailable
	}
	switch base(code) {
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
	case remedyOf(code) == free:
		advice = "another program fills the TPM; use the kernel's resource manager /dev/tpmrm0"
	case base(code) == tpm2.TPMRCHierarchy:
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
