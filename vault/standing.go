package vault

import (
	"errors"
	"fmt"
	"maps"

	"strongroom.example/keystore"
)

// errStale: what the decision rested on changed before the record was durable.
var errStale = errors.New("it changed meanwhile")

// errRelabelled: only alias or tags changed of that. What was done holds; who may do it
// is asked again.
var errRelabelled = fmt.Errorf("%w: its alias or tags", errStale)

// stands checks in a commit that a decision stands. It rests on state, primary version,
// place, expiry, alias and tags. What else is in the record may change: who may describe
// a CMK shall hold up nobody who uses it.
func (v *Vault) stands(tx *keystore.Tx, t *target, e *entry) error {
	if t == nil || e.detached || tx.Version(keyPath(t.ID)) == t.record && !v.expiredSince(t) {
		return nil
	}
	k, err := keyIn(tx, t.ID)
	if errors.Is(err, keystore.ErrNotFound) {
		return errStale // its creation was taken back
	}
	if err != nil {
		return err
	}
	now := &target{Key: k}
	v.expireView(now)
	switch {
	case e.alters && !now.State.allows(Operation(e.rec.Operation)), !e.alters && !now.same(t):
		return errStale
	case !e.lenient && !(now.Alias == t.Alias && maps.Equal(now.Tags, t.Tags)):
		return errRelabelled
	}
	return nil
}

// same reports whether what is done with the CMK would be done alike.
func (t *target) same(other *target) bool {
	return t.ID == other.ID && t.State == other.State && t.Version == other.Version && t.Driver == other.Driver && t.ValidTo.Equal(other.ValidTo)
}

// keyIn reads a CMK in a commit, as those before in its group leave it.
func keyIn(tx *keystore.Tx, id string) (Key, error) {
	path := keyPath(id)
	r, err := tx.Get(path)
	if err != nil {
		return Key{}, err
	}
	return decode[Key](path, r.Value)
}
