package vault

import (
	"context"
	"errors"

	"strongroom.example/audit"
	"strongroom.example/keystore"
)

// recordable reports whether a commit failed that left the log able to tell so: the
// caller gave up before it was begun, though the key was used, or asked for too much.
func recordable(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil && errors.Is(err, ctx.Err()) || errors.Is(err, ErrTooLarge))
}

// commit makes the record and the changes durable, if the key is still as it was.
func (v *Vault) commit(ctx context.Context, t *target, e *entry) error {
	commit := e.commit
	if commit == nil {
		commit = v.store.Commit
	}
	err := commit(ctx, func(tx *keystore.Tx) error {
		if t != nil && !e.detached && (tx.Version(keyPath(t.ID)) != t.record || v.expiredSince(t)) {
			return errStale
		}
		if e.change != nil {
			if e.refusal = e.change(tx); e.refusal != nil {
				return e.refusal
			}
		}
		v.note(tx, e.rec)
		return nil
	})
	if err == nil || e.refusal != nil || errors.Is(err, errStale) {
		return err
	}
	return translateOr(err, ErrAuditUnavailable)
}

// fail records an operation that was allowed and did not succeed.
func (v *Vault) fail(ctx context.Context, t *target, r audit.Record, cause error) error {
	cause = translate(cause)
	r.Result, r.Error, r.OutputSize = audit.Failed, errorName(cause), 0
	err := v.commit(context.WithoutCancel(ctx), t, &entry{rec: r})
	if err != nil {
		return err
	}
	return cause
}
