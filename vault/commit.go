package vault

import (
	"context"
	"errors"
	"fmt"

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
	e.refusal = nil
	err := v.commitIf(ctx, t, e, func(tx *keystore.Tx) error {
		if e.change != nil {
			if e.refusal = e.change(tx); e.refusal != nil {
				return e.refusal
			}
		}
		v.note(tx, e.rec)
		if e.also != nil {
			v.note(tx, e.also.e.rec)
		}
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
	err := v.commit(context.WithoutCancel(ctx), t, &entry{rec: r, lenient: true, exact: errors.Is(cause, ErrNotFound)})
	if err != nil {
		return err
	}
	return cause
}

// giveUp records an operation that was stale again and again: the key was used.
func (v *Vault) giveUp(ctx context.Context, e *entry) error {
	err := fmt.Errorf("%w: what it acts on changes faster than it can; try again later", ErrThrottled)
	if e.settled {
		return err
	}
	return v.fail(ctx, nil, e.rec, err)
}
