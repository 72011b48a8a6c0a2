package vault

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"strongroom.example/internal/clock"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/datakeyrecords"
	"strongroom.example/vault/internal/inputtext"
	"strongroom.example/vault/internal/record"
)

// dataKeyStates lists the states of a named data key in the order of the columns below.
var dataKeyStates = [...]KeyState{Enabled, Disabled, PendingDeletion}

// dataKeyStateTable lists the operations on a named data key that each of its states allows;
// + means allowed. stateTable has what the state of its CMK allows, which is checked first.
//
// The columns: Enabled, Disabled, PendingDeletion.
var dataKeyStateTable = map[Operation][len(dataKeyStates)]byte{
	//                          En   Di   PD
	OpDescribeDataKey:         {'+', '+', '+'},
	OpSetDataKeyName:          {'+', '+', '-'},
	OpSetDataKeyDescription:   {'+', '+', '-'},
	OpEnableDataKey:           {'+', '+', '-'},
	OpDisableDataKey:          {'+', '+', '-'},
	OpScheduleDataKeyDeletion: {'-', '+', '-'},
	OpCancelDataKeyDeletion:   {'-', '-', '+'},
	OpGetDataKeyCiphertext:    {'+', '-', '-'},
	OpOpenNamedDataKey:        {'+', '-', '-'},
	OpOpenNamedDataKeyTo:      {'+', '-', '-'},
	OpReEncryptFrom:           {'+', '+', '-'}, // of ReEncryptDataKey
	OpReEncryptTo:             {'+', '+', '-'},
}

// dataKeyRemedies says which operation leads out of a state of a named data key.
var dataKeyRemedies = map[KeyState]string{
	Enabled:         "DisableDataKeys disables the data key",
	Disabled:        "EnableDataKeys enables the data key",
	PendingDeletion: "CancelDataKeyDeletion disables the data key, until its DeletionDate",
}

// allows returns the error of an operation that the state of the data key does not allow.
func (k *dataKeyTarget) allows(op Operation) error {
	i := slices.Index(dataKeyStates[:], k.State)
	if row, listed := dataKeyStateTable[op]; listed && i >= 0 && row[i] == '+' {
		return nil
	}
	return &Error{Op: op, Key: k.Key, State: k.State, Err: fmt.Errorf("%w; %s", ErrDataKeyState, dataKeyRemedies[k.State])}
}

// ReEncryptDataKey encrypts a named data key again, under the primary version of its CMK. The
// key itself does not change, nor does the data encrypted under it. It is authorized and recorded
// as ReEncryptFrom and ReEncryptTo, like ReEncrypt. Errors: those of ReEncrypt; ErrDataKeyState
// for a data key that is PendingDeletion.
func (c Client) ReEncryptDataKey(ctx context.Context, dataKey string) (NamedDataKey, error) {
	q := onDataKey(OpReEncryptFrom, dataKey)
	return operate(ctx, c, q, func(ctx context.Context, d *decision) (NamedDataKey, error) {
		m, err := d.dataKeyMessage()
		if err != nil {
			return NamedDataKey{}, d.fail(ctx, err)
		}
		d.rec.InputSize = uint64(len(m.bytes))
		second := onDataKey(OpReEncryptTo, d.t.data.ID)
		second.context = m.context
		k := d.t.data.storedDataKey
		k.Version = d.t.Version
		_, err = d.reEncrypt(ctx, m, second, func(tx *keystore.Tx, ct []byte) {
			k.Ciphertext = ct
			k.put(tx)
		})
		return k.clone(), err
	}, nil)
}

// EnableDataKeys enables named data keys, at most 100, in one commit, as EnableKeys does.
// Errors: ErrDataKeyState; ErrKeyState for the state of a CMK; those of DescribeDataKeys.
func (c Client) EnableDataKeys(ctx context.Context, dataKeys ...string) error {
	return c.setDataKeyStates(ctx, OpEnableDataKey, Enabled, dataKeys)
}

// DisableDataKeys disables named data keys, at most 100, in one commit. They cannot be opened
// until they are enabled again. After DisableDataKeys has returned, the vault releases no
// result of the data keys that it disabled; a DataKey that was opened before remains usable,
// and so does a ciphertext that was read before. Errors: those of EnableDataKeys.
func (c Client) DisableDataKeys(ctx context.Context, dataKeys ...string) error {
	return c.setDataKeyStates(ctx, OpDisableDataKey, Disabled, dataKeys)
}

func (c Client) setDataKeyStates(ctx context.Context, op Operation, to KeyState, dataKeys []string) error {
	return c.runBatch(ctx, dataKeys, batch{op: op, dataKeys: true, check: stateAllows, change: func(tx *keystore.Tx, e *batchEntry) error {
		return e.d.changeDataKey(tx, func(k *storedDataKey) error {
			e.d.note("from", string(k.State))
			e.d.note("to", string(to))
			k.State = to
			return nil
		})
	}})
}

// changeDataKey changes the record of the named data key of an operation in a commit. The data
// key is the one that was decided on, because the commit fails otherwise.
func (d *decision) changeDataKey(tx *keystore.Tx, edit func(*storedDataKey) error) error {
	k := d.t.data.storedDataKey
	if err := edit(&k); err != nil {
		return err
	}
	k.put(tx)
	return nil
}

// editDataKey runs an operation that changes a named data key.
func (c Client) editDataKey(ctx context.Context, q request, edit func(*decision, *keystore.Tx, *storedDataKey) error) error {
	return c.do(ctx, q, func(ctx context.Context, d *decision) error {
		return d.commit(ctx, commitPlan{check: stateAllows, change: func(tx *keystore.Tx) error {
			return d.changeDataKey(tx, func(k *storedDataKey) error { return edit(d, tx, k) })
		}})
	})
}

// SetDataKeyName gives a named data key another name. Errors: ErrExists if another data key
// has it; ErrInvalid for a malformed name; ErrDataKeyState; ErrKeyState; ErrNotFound;
// ErrDenied.
func (c Client) SetDataKeyName(ctx context.Context, dataKey, name string) error {
	q := onDataKey(OpSetDataKeyName, dataKey)
	if err := checkDataKeyName(name); err != nil {
		return c.argumentError(ctx, q, err)
	}
	q.newName = name
	return c.editDataKey(ctx, q, func(_ *decision, tx *keystore.Tx, k *storedDataKey) error {
		if k.Name == name {
			return nil
		}
		if err := k.records().Rename(tx, name); err != nil {
			return err
		}
		k.Name = name
		return nil
	})
}

// SetDataKeyDescription sets the description of a named data key, of at most 1024 bytes.
// Errors: ErrTooLarge; ErrInvalid if it is not UTF-8; those of SetDataKeyName.
func (c Client) SetDataKeyDescription(ctx context.Context, dataKey, description string) error {
	q := onDataKey(OpSetDataKeyDescription, dataKey)
	if err := inputtext.CheckDescription(description); err != nil {
		return c.argumentError(ctx, q, err)
	}
	return c.editDataKey(ctx, q, func(_ *decision, _ *keystore.Tx, k *storedDataKey) error {
		k.Description = description
		return checkDataKeySize(*k)
	})
}

// ScheduleDataKeyDeletion schedules the removal of a named data key after MinDeletionDays to
// MaxDeletionDays days, and returns it with its DeletionDate. The data key must be Disabled.
// It is PendingDeletion from then on, and CancelDataKeyDeletion cancels the deletion until
// the DeletionDate. After that date the vault itself removes it, with the operation
// DestroyDataKey on record, and its name is free. Data that was encrypted under it cannot be
// decrypted any more, unless a copy of its ciphertext is left: with a caller of
// DataKeyCiphertext, or in an older backup.
//
// Errors: ErrInvalid for another number of days; those of SetDataKeyName.
func (c Client) ScheduleDataKeyDeletion(ctx context.Context, dataKey string, days int) (NamedDataKey, error) {
	q := onDataKey(OpScheduleDataKeyDeletion, dataKey)
	q.number = int64(days)
	if days < MinDeletionDays || days > MaxDeletionDays {
		return NamedDataKey{}, c.argumentError(ctx, q, invalid("a data key is removed after %d to %d days, not %d", MinDeletionDays, MaxDeletionDays, days))
	}
	var out NamedDataKey
	err := c.editDataKey(ctx, q, func(d *decision, tx *keystore.Tx, k *storedDataKey) error {
		k.State = PendingDeletion
		// As in ScheduleKeyDeletion, a time in doubt makes the waiting period longer.
		k.DeletionDate = clock.Within(c.vault.deadline.Now().Add(time.Duration(days) * day))
		d.note("date", k.DeletionDate.Format(time.RFC3339))
		tx.Put(datakeyrecords.DeletionPath(k.ID), datakeyrecords.Mark())
		c.vault.recordClock(tx)
		out = k.clone()
		return nil
	})
	if err != nil {
		return NamedDataKey{}, err
	}
	c.vault.tasks.Schedule(datakeyrecords.DeletionPath(out.ID), out.DeletionDate)
	return out, nil
}

// CancelDataKeyDeletion cancels the scheduled removal of a named data key, which then is
// Disabled. Errors: ErrDataKeyState, also after the DeletionDate unless the time of day is in
// doubt (see ConfirmTime); those of SetDataKeyName.
func (c Client) CancelDataKeyDeletion(ctx context.Context, dataKey string) error {
	return c.editDataKey(ctx, onDataKey(OpCancelDataKeyDeletion, dataKey), func(_ *decision, tx *keystore.Tx, k *storedDataKey) error {
		if !c.vault.confirmedNow().Before(k.DeletionDate) {
			return &Error{Op: OpCancelDataKeyDeletion, Key: k.Key, State: k.State,
				Err: fmt.Errorf("%w; its removal was due on %s", ErrDataKeyState, k.DeletionDate.Format(time.RFC3339))}
		}
		k.State, k.DeletionDate = Disabled, time.Time{}
		tx.Delete(datakeyrecords.DeletionPath(k.ID))
		return nil
	})
}

// scheduleDataKeyDeletions schedules the removals that are stored.
func (v *Vault) scheduleDataKeyDeletions(ctx context.Context) {
	for _, path := range v.store.Paths(datakeyrecords.Deletions) {
		k, err := v.dataKey(ctx, strings.TrimPrefix(path, datakeyrecords.Deletions))
		if err != nil {
			v.tasks.Postpone(path)
			continue
		}
		v.tasks.Schedule(path, k.DeletionDate)
	}
}

// destroyDataKey is the background task of a named data key that is PendingDeletion: it removes
// the data key in one commit, from the DeletionDate on by the confirmed time.
func (v *Vault) destroyDataKey(ctx context.Context, id string) error {
	early := time.Time{}
	err := v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
		early = time.Time{}
		if tx.Version(datakeyrecords.DeletionPath(id)) == 0 {
			return nil // cancelled, or removed with its CMK
		}
		k, err := dataKeyInTx(tx, id)
		if err != nil {
			return err
		}
		if v.confirmedNow().Before(k.DeletionDate) {
			early = k.DeletionDate // scheduled again, or the vault's time was set back
			return nil
		}
		v.recordClock(tx)
		return v.removeRecorded(tx, k)
	})
	if err == nil && !early.IsZero() {
		v.tasks.Schedule(datakeyrecords.DeletionPath(id), early)
	}
	return err
}

// removeRecorded removes a named data key in a commit, with its record.
func (v *Vault) removeRecorded(tx *keystore.Tx, k storedDataKey) error {
	rec := v.record(OpDestroyDataKey, principalVault)
	rec.Key, rec.KeyVersion = k.Key, k.Version
	rec.Detail = map[string]string{"dataKey": k.ID, "dataKeyName": k.Name, "from": string(k.State)}
	if !k.DeletionDate.IsZero() {
		rec.Detail["date"] = k.DeletionDate.Format(time.RFC3339)
	}
	v.appendAudit(tx, rec)
	return k.records().Remove(tx)
}

// removeDataKeysOf removes the named data keys of a CMK whose material was destroyed, because
// nothing can decrypt them any more. It can be repeated.
func (v *Vault) removeDataKeysOf(ctx context.Context, key string) error {
	folder := datakeyrecords.FolderOf(key)
	for {
		paths := v.store.PathsAfter(folder, "", maxKeys)
		if len(paths) == 0 {
			return nil
		}
		err := v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
			for _, path := range paths {
				if tx.Version(path) == 0 {
					continue
				}
				k, err := dataKeyInTx(tx, path[len(folder):])
				if err != nil {
					return err
				}
				if err := v.removeRecorded(tx, k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// dataKeyInTx reads a named data key in a commit.
func dataKeyInTx(tx *keystore.Tx, id string) (storedDataKey, error) {
	return record.Read[storedDataKey](tx, datakeyrecords.Path(id))
}

// DescribeDataKeys returns the descriptions of at most 100 named data keys, given by id or
// name, in the order of the arguments. Each is authorized and recorded by itself. The
// description of one that failed is zero. Errors: ErrNotFound and ErrDenied, in a *BatchError
// for several data keys; ErrInvalid for more than 100.
func (c Client) DescribeDataKeys(ctx context.Context, dataKeys ...string) ([]NamedDataKey, error) {
	out := make([]NamedDataKey, min(len(dataKeys), maxKeys))
	err := c.runBatch(ctx, dataKeys, batch{op: OpDescribeDataKey, dataKeys: true, check: unchanged, change: func(_ *keystore.Tx, e *batchEntry) error {
		out[e.index] = e.d.t.data.clone()
		return nil
	}})
	return clearFailed(out, err)
}

// DataKeyFilter selects named data keys. A zero field selects all.
type DataKeyFilter struct {
	// Key is the id or alias of a CMK. If there is no such CMK, the filter selects none.
	Key    string
	State  KeyState
	Origin Origin
	// Name is a prefix of the name.
	Name string
	// Size is the length of the data key in bytes.
	Size int
}

// matches reports whether the filter selects k, apart from its Key.
func (f DataKeyFilter) matches(k NamedDataKey) bool {
	return (f.State == "" || f.State == k.State) && (f.Origin == "" || f.Origin == k.Origin) &&
		(f.Size == 0 || f.Size == k.Size) && strings.HasPrefix(k.Name, f.Name)
}

// DataKeyPage is a page of a list of named data keys.
type DataKeyPage struct {
	DataKeys []NamedDataKey
	// Next is the token of the next page. It is empty if this is the last page.
	Next string
}

// ListDataKeys returns an iterator over the named data keys that match f, ordered by id, in the
// way of ListKeys: it omits those that the caller may not describe, for each of which the
// Authorizer is asked for DescribeDataKey. Errors: ErrDenied.
func (c Client) ListDataKeys(ctx context.Context, f DataKeyFilter) iter.Seq2[NamedDataKey, error] {
	return func(yield func(NamedDataKey, error) bool) {
		all, err := useVault(ctx, c, request{op: OpListDataKeys}, func(ctx context.Context, d *decision) ([]NamedDataKey, error) {
			l := dataKeyListing{client: c, filter: f}
			_, err := l.read(ctx, d, "", PageRequest{Limit: math.MaxInt}, math.MaxInt)
			return l.found, err
		}, nil)
		if err != nil {
			yield(NamedDataKey{}, err)
			return
		}
		for _, k := range all {
			if !yield(k, nil) {
				return
			}
		}
	}
}

// ListDataKeysPage returns a page of the named data keys that ListDataKeys yields for f, in the
// way of ListKeysPage. Errors: those of ListDataKeys; ErrInvalid for the limit; ErrToken.
func (c Client) ListDataKeysPage(ctx context.Context, f DataKeyFilter, p PageRequest) (DataKeyPage, error) {
	q := request{op: OpListDataKeys}
	scope := c.listScope(q.op, f)
	return useVault(ctx, c, q, func(ctx context.Context, d *decision) (DataKeyPage, error) {
		after, err := c.pageStart(scope, &p)
		if err != nil {
			return DataKeyPage{}, err
		}
		l := dataKeyListing{client: c, filter: f}
		next, err := l.read(ctx, d, after, p, maxExamined)
		return DataKeyPage{l.found, c.pageToken(scope, next)}, err
	}, nil)
}

// A dataKeyListing lists the named data keys that match a filter and that the caller may
// describe.
type dataKeyListing struct {
	client   Client
	filter   DataKeyFilter
	found    []NamedDataKey
	withheld int // the number that match and that the caller may not describe
}

// read reads from behind the id after on, as keyListing.read does, and completes the record.
func (l *dataKeyListing) read(ctx context.Context, d *decision, after string, p PageRequest, examine int) (next string, err error) {
	v, folder := l.client.vault, datakeyrecords.Folder
	d.nested = true
	if l.filter.Key != "" {
		t, err := v.load(ctx, l.filter.Key)
		if errors.Is(err, ErrNotFound) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		folder = datakeyrecords.FolderOf(t.ID)
	}
	next, err = listing[*target]{
		folder: folder, after: after, limit: p.Limit, examine: examine,
		load: func(path string) (*target, error) { return v.loadDataKey(ctx, path[len(folder):]) },
		take: func(t *target) (bool, error) { return l.take(ctx, t) },
	}.run(v.store)
	d.rec.Detail = listDetail("dataKeys", len(l.found), l.withheld)
	return next, err
}

// take adds a named data key to the listing, unless it does not match or is withheld.
func (l *dataKeyListing) take(ctx context.Context, t *target) (bool, error) {
	if !l.filter.matches(t.data.NamedDataKey) {
		return false, nil
	}
	var one decision // discarded: the record of the listing has only the number
	err := l.client.authorize(ctx, l.client.authorizerRequest(onDataKey(OpDescribeDataKey, t.data.ID), t), &one)
	switch {
	case err == nil:
		l.found = append(l.found, t.data.clone())
		return true, nil
	case errors.Is(err, errAuthorizer):
		return false, err // a listing without these would suggest that they do not exist
	}
	l.withheld++
	return false, nil
}
