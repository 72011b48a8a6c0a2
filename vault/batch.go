package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"strongroom.example/keystore"
	"strongroom.example/vault/internal/bindingrecords"
)

// maxKeys is the maximum number of CMKs in one call.
const maxKeys = 100

// A BatchError reports which CMKs or named data keys of a call for several failed. It matches
// every error in Errs by errors.Is. A call for a single one returns its error instead.
type BatchError struct {
	Op Operation
	// Errs has an element for each CMK, in the order of the call, which is nil if the
	// operation succeeded on it.
	Errs []error
}

// Error returns the number of failed CMKs and the first error.
func (e *BatchError) Error() string {
	failed := e.Unwrap()
	if len(failed) == 0 {
		return fmt.Sprintf("strongroom: %s: no key failed", e.Op)
	}
	return fmt.Sprintf("strongroom: %s: %d of %d keys failed: %v", e.Op, len(failed), len(e.Errs), failed[0])
}

// Unwrap returns the errors of the failed CMKs.
func (e *BatchError) Unwrap() []error {
	return slices.DeleteFunc(slices.Clone(e.Errs), func(err error) bool { return err == nil })
}

// DescribeKeys returns the descriptions of at most 100 CMKs, in the order of the arguments.
// Each CMK is authorized and recorded by itself, and all that may be described are recorded
// in one commit. The description of a CMK that failed is zero. Errors: those of DescribeKey,
// in a *BatchError for several CMKs; ErrInvalid for more than 100.
func (c Client) DescribeKeys(ctx context.Context, keys ...string) ([]Key, error) {
	out := make([]Key, min(len(keys), maxKeys))
	err := c.runBatch(ctx, keys, batch{op: OpDescribeKey, check: unchanged, change: func(_ *keystore.Tx, e *batchEntry) (err error) {
		out[e.index], err = c.vault.described(ctx, e.d.t)
		return err
	}})
	return clearFailed(out, err)
}

// clearFailed clears the results of a batch that belong to a CMK or data key that failed. It
// returns none if the whole call failed.
func clearFailed[T any](out []T, err error) ([]T, error) {
	var some *BatchError
	if err != nil && !errors.As(err, &some) {
		return nil, err
	}
	var none T
	for i := range out {
		if some != nil && some.Errs[i] != nil {
			out[i] = none
		}
	}
	return out, err
}

// EnableKeys enables CMKs, at most 100, in one commit. Each CMK is authorized and recorded by
// itself; those that fail do not keep the others from being enabled. Errors: ErrKeyState,
// ErrDenied, ErrNotFound, in a *BatchError for several CMKs; ErrInvalid for more than 100.
func (c Client) EnableKeys(ctx context.Context, keys ...string) error {
	return c.setStates(ctx, OpEnableKey, Enabled, keys)
}

// DisableKeys disables CMKs, at most 100, in one commit. A disabled CMK cannot be used until
// it is enabled again. After DisableKeys has returned, the vault releases no result of the
// CMKs that it disabled. Each CMK is authorized and recorded by itself; those that fail do
// not keep the others from being disabled. Errors: those of EnableKeys; ErrKeyBound.
func (c Client) DisableKeys(ctx context.Context, keys ...string) error {
	return c.setStates(ctx, OpDisableKey, Disabled, keys)
}

func (c Client) setStates(ctx context.Context, op Operation, to KeyState, keys []string) error {
	return c.runBatch(ctx, keys, batch{op: op, check: stateAllows, change: func(tx *keystore.Tx, e *batchEntry) error {
		return e.d.changeRecord(tx, setStateTo(to))
	}})
}

// setStateTo returns the edit of a CMK that sets its state.
func setStateTo(to KeyState) func(*keystore.Tx, *Key) (map[string]string, error) {
	return func(tx *keystore.Tx, k *Key) (map[string]string, error) {
		if to != Enabled {
			if err := bindingrecords.CheckUnbound(tx, k.ID); err != nil {
				return nil, err
			}
		}
		detail := map[string]string{"from": string(k.State), "to": string(to)}
		k.State = to
		return detail, nil
	}
}

// A batch is one operation on each of several CMKs, which are committed together.
type batch struct {
	op Operation
	// dataKeys: the names are those of named data keys.
	dataKeys bool
	check    commitCheck
	// change changes the CMK in the commit. It runs again if the CMK changed meanwhile.
	change func(*keystore.Tx, *batchEntry) error
}

// batchEntry is one CMK of a batch.
type batchEntry struct {
	index int
	name  string // as the caller gave it
	d     *decision
	// counted is what the attempts before have counted.
	counted callCounts
	// err is the outcome. While it is errConflict, the entry is to be decided again.
	err error
}

// runBatch runs a batch for at most maxKeys CMKs, and returns their errors as the methods of
// Client do.
func (c Client) runBatch(ctx context.Context, names []string, b batch) error {
	q := request{op: b.op}
	if len(names) == 1 {
		q = b.requestFor(names[0])
	}
	if err := cmp.Or(c.checkPrincipal(), checkKeys(names)); err != nil {
		return c.argumentError(ctx, q, err)
	}
	entries := make([]*batchEntry, len(names))
	for i, name := range names {
		entries[i] = &batchEntry{index: i, name: name, err: errConflict}
	}
	v, err := c.begin(ctx, q)
	if err != nil {
		return q.wrap(q.key, err)
	}
	defer v.leave()
	left := entries
	for n := 0; n < maxAttempts && len(left) > 0; n++ {
		var permitted []*batchEntry
		for _, e := range left {
			if c.decideEntry(ctx, b, e, n >= maxReauthorize) {
				permitted = append(permitted, e)
			}
		}
		b.commit(ctx, v, permitted)
		left = undecided(left)
	}
	for _, e := range left {
		e.err = e.d.failConflict(ctx)
	}
	return b.result(entries)
}

// requestFor returns the request for one name of the call.
func (b batch) requestFor(name string) request {
	if b.dataKeys {
		return onDataKey(b.op, name)
	}
	return request{op: b.op, key: name}
}

// checkKeys returns an error for too many CMKs.
func checkKeys(keys []string) error {
	if len(keys) > maxKeys {
		return invalid("%d keys, the limit is %d", len(keys), maxKeys)
	}
	return nil
}

// undecided returns the entries that have no outcome yet.
func undecided(all []*batchEntry) (left []*batchEntry) {
	for _, e := range all {
		if errors.Is(e.err, errConflict) {
			left = append(left, e)
		}
	}
	return left
}

// decideEntry loads a CMK, and asks the Authorizer and the Limiter. It returns true if the entry may be
// committed. Otherwise e.err is the outcome of the entry, or errConflict if the CMK changed meanwhile.
func (c Client) decideEntry(ctx context.Context, b batch, e *batchEntry, ignoreNaming bool) bool {
	q := b.requestFor(e.name)
	t, id, err := c.vault.targetOf(ctx, q)
	if err != nil {
		e.err = q.wrap(q.key, c.denyOrNotFound(ctx, q, err))
		return false
	}
	d, err := c.decide(ctx, q, t)
	if err != nil {
		e.err = q.wrap(nameFor(err, q.key, id), err)
		return false
	}
	d.ignoreNaming, e.d = ignoreNaming, d
	d.q.counted = e.counted
	if err := d.limit(ctx); err != nil {
		e.err = wrapUnlessConflict(q, id, err)
		return false
	}
	e.counted = d.q.counted
	return true
}

// commit commits the entries whose decisions are still valid, with their records. If the
// commit is too large, it makes two of it.
func (b batch) commit(ctx context.Context, v *Vault, entries []*batchEntry) {
	if len(entries) == 0 {
		return
	}
	for _, e := range entries {
		e.err = nil // the store may fail without a call of stage
	}
	commit := v.store.Commit
	if b.op.usesReserve() {
		commit = v.store.CommitInReserve
	}
	err := commit(ctx, func(tx *keystore.Tx) error {
		for _, e := range entries {
			e.err = b.stage(tx, e)
		}
		return nil
	})
	if errors.Is(err, keystore.ErrTooLarge) && len(entries) > 1 {
		half := len(entries) / 2
		b.commit(ctx, v, entries[:half])
		b.commit(ctx, v, entries[half:])
		return
	}
	for _, e := range entries {
		e.settle(ctx, err)
	}
}

// stage stages the change of an entry and its record, if its decision is still valid.
func (b batch) stage(tx *keystore.Tx, e *batchEntry) error {
	if err := e.d.valid(tx, b.check); err != nil {
		return err
	}
	use, err := e.d.claim(tx, nil)
	if err != nil {
		return err
	}
	if err := b.change(tx, e); err != nil {
		return err
	}
	use(tx)
	e.d.client.vault.appendAudit(tx, e.d.rec)
	return nil
}

// settle records the outcome of an entry that was not committed. err is the error of the
// commit.
func (e *batchEntry) settle(ctx context.Context, err error) {
	q, id := e.d.q, e.d.t.ID
	switch {
	case errors.Is(e.err, errConflict):
	case e.err != nil:
		e.err = wrapUnlessConflict(q, id, e.d.fail(ctx, e.err))
	case err == nil:
	case recordable(ctx, err):
		e.err = wrapUnlessConflict(q, id, e.d.fail(ctx, translateOr(err, ErrAuditUnavailable)))
	default:
		err = translateOr(err, ErrAuditUnavailable)
		e.d.countFailed(err)
		e.err = q.wrap(id, err)
	}
}

// wrapUnlessConflict is request.wrap, and returns errConflict as it is.
func wrapUnlessConflict(q request, id string, err error) error {
	if errors.Is(err, errConflict) {
		return err
	}
	return q.wrap(id, err)
}

// result returns the errors of the entries: that of a single CMK as it is.
func (b batch) result(entries []*batchEntry) error {
	errs := make([]error, len(entries))
	for i, e := range entries {
		errs[i] = e.err
	}
	switch {
	case cmp.Or(errs...) == nil:
		return nil
	case len(errs) == 1:
		return errs[0]
	}
	return &BatchError{b.op, errs}
}
