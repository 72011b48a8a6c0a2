package vault

import (
	"context"
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

// A reader reads records: in a commit, as those before in its group leave them, or as they
// are stored.
type reader interface {
	Version(path string) uint64
	Get(path string) (keystore.Record, error)
}

// storeReader reads what is stored.
type storeReader struct {
	*keystore.Store
	ctx context.Context
}

func (r storeReader) Get(path string) (keystore.Record, error) { return r.Store.Get(r.ctx, path) }

func (v *Vault) reading(ctx context.Context) reader { return storeReader{v.store, ctx} }

// stands checks in a commit that a decision stands. It rests on state, primary version,
// place, expiry, alias and tags. The rest of the record may change, so that a change of the
// description does not hold up those who use the CMK.
func (v *Vault) stands(tx reader, t *target, e *entry) error {
	if t == nil || e.detached || tx.Version(keyPath(t.ID)) == t.record && !v.expiredSince(t) {
		return nil
	}
	if e.exact {
		return errStale
	}
	now, err := v.shownIn(tx, t.ID)
	if errors.Is(err, keystore.ErrNotFound) {
		return errStale // its creation was taken back
	}
	if err == nil {
		err = e.allowedBy(now, t)
	}
	if err == nil && !e.lenient && !(now.Alias == t.Alias && maps.Equal(now.Tags, t.Tags)) {
		return errRelabelled
	}
	return err
}

// allowedBy checks the CMK as it is now against the CMK that the decision fell for.
func (e *entry) allowedBy(now, then *target) error {
	op := Operation(e.rec.Operation)
	switch {
	case e.outcome && now.expired && !then.expired:
		return errStale // its material is gone, whatever the operation did with it
	case e.outcome && !now.State.allows(op):
		return now.State.refuse(op, then.ID)
	case e.outcome:
		return nil
	case e.alters && !now.State.allows(op), !e.alters && !now.same(then):
		return errStale
	}
	return nil
}

// commitIf commits op if the decision stands. Else it waits for its group all the same:
// then what made it stale is durable, and there is something new to decide by. Who came
// back at once would meet the very same group, again and again.
func (v *Vault) commitIf(ctx context.Context, t *target, e *entry, op func(*keystore.Tx) error) error {
	commit := e.commit
	if commit == nil {
		commit = v.store.Commit
	}
	var stale error
	err := commit(ctx, func(tx *keystore.Tx) error {
		stale = v.stands(tx, t, e)
		if stale == nil && e.also != nil {
			stale = v.stands(tx, e.also.t, e.also.e)
		}
		if stale == nil {
			return op(tx)
		}
		if errors.Is(stale, errStale) {
			return nil // and changes nothing
		}
		return stale
	})
	return orElse(err, stale)
}

// same reports whether what is done with the CMK would be done alike.
func (t *target) same(other *target) bool {
	return t.ID == other.ID && t.State == other.State && t.Version == other.Version && t.Driver == other.Driver && t.ValidTo.Equal(other.ValidTo)
}

// shownIn is keyIn as everybody is shown it; see expireView.
func (v *Vault) shownIn(tx reader, id string) (*target, error) {
	k, err := keyIn(tx, id)
	t := &target{Key: k}
	v.expireView(t)
	return t, err
}

// keyIn reads a CMK in a commit, as those before in its group leave it.
func keyIn(tx reader, id string) (Key, error) {
	path := keyPath(id)
	r, err := tx.Get(path)
	if err != nil {
		return Key{}, err
	}
	return decode[Key](path, r.Value)
}
