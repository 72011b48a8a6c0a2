package vault

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"strongroom.example/keystore"
)

// errStale reports that the key changed after the decision and before the record was
// durable.
var errStale = errors.New("it changed meanwhile")

// errRelabelled reports that only its alias or tags changed. The operation's result remains
// valid, but the Authorizer is asked again.
var errRelabelled = fmt.Errorf("%w: its alias or tags", errStale)

// A reader reads records: in a commit, including the changes of earlier commits in the same
// group, or as stored.
type reader interface {
	Version(path string) uint64
	Get(path string) (keystore.Record, error)
}

// storeReader reads stored records.
type storeReader struct {
	*keystore.Store
	ctx context.Context
}

func (r storeReader) Get(path string) (keystore.Record, error) { return r.Store.Get(r.ctx, path) }

func (v *Vault) reading(ctx context.Context) reader { return storeReader{v.store, ctx} }

// stands checks whether a decision is still valid at commit. The decision depends on state,
// primary version, driver, expiry, alias and tags. Other fields may change, so that a new
// description does not delay the users of the CMK.
func (v *Vault) stands(tx reader, t *target, e *entry) error {
	if t == nil || e.detached || tx.Version(keyPath(t.ID)) == t.record && !v.expiredSince(t) {
		return nil
	}
	if e.exact {
		return errStale
	}
	now, err := v.shownIn(tx, t.ID)
	if errors.Is(err, keystore.ErrNotFound) {
		return errStale // the creation was rolled back
	}
	if err == nil {
		err = e.allowedBy(now, t)
	}
	if err == nil && !e.lenient && !(now.Alias == t.Alias && maps.Equal(now.Tags, t.Tags)) {
		return errRelabelled
	}
	return err
}

// allowedBy checks the current CMK against the CMK for which the decision was made.
func (e *entry) allowedBy(now, then *target) error {
	op := Operation(e.rec.Operation)
	switch {
	case e.outcome && now.expired && !then.expired:
		return errStale // the material is gone, so the result of the operation no longer matters
	case e.outcome && !now.State.allows(op):
		return now.State.refuse(op, then.ID)
	case e.outcome:
		return nil
	case e.alters && !now.State.allows(op), !e.alters && !now.same(then):
		return errStale
	}
	return nil
}

// commitIf commits op if the decision is still valid. If not, it waits for the end of its
// commit group before it returns errStale: only then is the change that made it stale
// durable, and the next attempt sees it. Without this wait the next attempt would join the
// same group and fail again.
func (v *Vault) commitIf(ctx context.Context, t *target, e *entry, op func(*keystore.Tx) error) error {
	commit := e.commit
	if commit == nil {
		commit = v.store.Commit
		if Operation(e.rec.Operation).usesReserve() {
			commit = v.store.CommitInReserve
		}
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
			return nil // commits no change
		}
		return stale
	})
	return orElse(err, stale)
}

// same reports whether the operation would use both states of the CMK in the same way.
func (t *target) same(other *target) bool {
	return t.ID == other.ID && t.State == other.State && t.Version == other.Version && t.Driver == other.Driver && t.ValidTo.Equal(other.ValidTo)
}

// shownIn returns the CMK as keyIn reads it, with expiry applied; see expireView.
func (v *Vault) shownIn(tx reader, id string) (*target, error) {
	k, err := keyIn(tx, id)
	t := &target{Key: k}
	v.expireView(t)
	return t, err
}

// keyIn reads a CMK in a commit, including the changes of earlier commits in the same
// group.
func keyIn(tx reader, id string) (Key, error) {
	path := keyPath(id)
	r, err := tx.Get(path)
	if err != nil {
		return Key{}, err
	}
	return decode[Key](path, r.Value)
}
