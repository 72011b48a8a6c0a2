package vault

import (
	"errors"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/internal/ciphertext"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/selftest"
	"strongroom.example/keystore"
)

// translation maps an error of another package to the sentinel of this one.
type translation struct{ from, to error }

// translations is in the order of precedence.
var translations = []translation{
	{selftest.ErrFailed, ErrSelfTest},
	{lockedmem.ErrExhausted, ErrLockedMemory},
	{lockedmem.ErrClosed, ErrClosed},
	{keystore.ErrReplaced, ErrReplaced},
	{keystore.ErrNoStore, ErrNoVault},
	{keystore.ErrExists, ErrExists},
	{keystore.ErrInUse, ErrInUse},
	{keystore.ErrUnlock, ErrUnlock},
	{keystore.ErrRolledBack, ErrRolledBack},
	{keystore.ErrCorrupt, ErrCorrupt},
	{keystore.ErrFull, ErrStorageFull},
	{keystore.ErrDirectory, ErrUnavailable},
	{keystore.ErrTooLarge, ErrTooLarge},
	{keystore.ErrNotFound, ErrNotFound},
	{keystore.ErrClosed, ErrClosed},
	{keystore.ErrUnavailable, ErrAuditUnavailable},
	{keystore.ErrConflict, ErrAuditUnavailable},
	{ciphertext.ErrTooLarge, ErrTooLarge},
	{ciphertext.ErrContext, ErrInvalid},
	{ciphertext.ErrFormat, ErrCiphertext},
	{ciphertext.ErrOpen, ErrCiphertext},
	{driver.ErrWrongDevice, ErrWrongDevice},
	{driver.Invalid, ErrInvalid},
	{driver.Unsupported, ErrUnsupported},
	{driver.NotFound, ErrUnavailable},
	{driver.Denied, ErrUnavailable},
	{driver.Authentic, ErrCorrupt},
	{driver.Throttled, ErrThrottled},
	{driver.Unavailable, ErrUnavailable},
	{driver.Unknown, ErrUnavailable},
}

// translate wraps err in a sentinel of this package, if it has none yet.
func translate(err error) error { return translateOr(err, ErrUnavailable) }

// translateOr is translate with the sentinel for an unknown error.
func translateOr(err, other error) error {
	if err == nil || errorName(err) != "UNKNOWN" {
		return err
	}
	for _, t := range translations {
		if errors.Is(err, t.from) {
			return fmt.Errorf("%w: %w", t.to, err)
		}
	}
	return fmt.Errorf("%w: %w", other, err)
}
