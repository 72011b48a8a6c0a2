package vault

import (
	"fmt"
	"time"

	"strongroom.example/keystore"
)

// tokenTries is the number of failed attempts after which a token is invalid.
const tokenTries = 5

// admit returns the reason why an attempt with t is not allowed, or nil.
func (i importState) admit(t token, now time.Time) error {
	is := i.Token
	switch {
	case is == nil || is.Serial != t.serial.String():
		return fmt.Errorf("%w: a newer import token was issued for this CMK; only the newest is valid", ErrImportToken)
	case !now.Before(t.validTo):
		return fmt.Errorf("%w: the import token expired at %s", ErrImportToken, t.validTo.Format(time.RFC3339))
	case is.Used && is.SingleUse:
		return fmt.Errorf("%w: the import token was for a single use", ErrImportToken)
	case is.Failed >= tokenTries:
		return fmt.Errorf("%w: the import token is dead after %d failed tries", ErrImportToken, tokenTries)
	case is.Failed+is.Running >= tokenTries:
		return fmt.Errorf("%w: as many tries as the import token has left are under way", ErrThrottled)
	case is.Gone:
		return fmt.Errorf("%w: the import token ended with the material that it brought; ask for another", ErrImportToken)
	}
	return nil
}

// begin counts the attempt before anything is unwrapped, so that neither concurrent
// attempts nor killing the process can evade the limit.
func (im *importing) begin(tx *keystore.Tx) error {
	state, err := getImport(tx, im.t.ID)
	if err != nil {
		return err
	}
	if err := state.admit(im.token, im.v.deadline.Now()); err != nil {
		return err
	}
	state.Token.Running++
	state.Token.Tried = true
	tx.Put(importPathOf(im.t.ID), encode(state))
	im.issued = *state.Token
	im.detail["path"] = string(im.issued.Path)
	im.v.markClock(tx)
	return nil
}

// endTry ends an attempt. It counts the attempt as failed, unless the cause was neither the
// token nor the material, or the material unwrapped with authentication. After the last
// allowed failure it removes the wrapping key.
func (v *Vault) endTry(tx *keystore.Tx, in intent, class string) error {
	if in.Token == "" {
		return nil
	}
	state, err := getImport(tx, in.Key)
	if err != nil || state.Token == nil || state.Token.Serial != in.Token {
		return err
	}
	state.Token.Running--
	if (class == errorName(ErrImport) || class == abandoned) && !in.uncounted {
		state.Token.Failed++
	}
	if state.Token.Failed >= tokenTries {
		if err := v.dropToken(tx, in.Key, state.Token); err != nil {
			return err
		}
	}
	tx.Put(importPathOf(in.Key), encode(state))
	return nil
}
