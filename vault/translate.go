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

// translation pairs what a lower room answers with what a caller is told.
type translation struct{ from, to error }

// translations is in order of precedence.
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

// translate gives err a sentinel of this package, if it has none yet.
func translate(err error) error { return translateOr(err, ErrUnavailable) }

// translateOr is translate with the sentinel for what no room has classed.
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
