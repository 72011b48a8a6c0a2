package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"strongroom.example/audit"
	"strongroom.example/keystore"
)

// recordable reports whether the failure of a commit can itself be recorded. That is so if
// the caller's context ended before the commit began, or if the commit was too large; the
// log still works then, and the key was used.
func recordable(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil && errors.Is(err, ctx.Err()) || errors.Is(err, ErrTooLarge))
}

// commit makes the record and the changes durable, if the key is unchanged.
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

// fail records an operation that was allowed but failed, or counts it if the principal's
// record limit for such failures is reached. It returns cause, or the error that kept it
// from being recorded, or errStale if the CMK changed since it was loaded.
func (v *Vault) fail(ctx context.Context, t *target, r audit.Record, cause error) error {
	cause = translate(cause)
	r.Result, r.Error, r.OutputSize = audit.Failed, errorName(cause), 0
	e := &entry{rec: r, lenient: true, exact: errors.Is(cause, ErrNotFound)}
	return orElse(v.recordFailure(context.WithoutCancel(ctx), t, e), cause)
}

// refuse records or counts a refusal. It returns an error if the refusal could not be
// recorded. A change of the key does not matter here, because a denied caller must not
// learn whether the key exists.
func (v *Vault) refuse(ctx context.Context, r audit.Record, cause error) error {
	r.Result, r.Error = audit.Refused, errorName(cause)
	return v.recordFailure(context.WithoutCancel(ctx), nil, &entry{rec: r})
}

// recordFailure commits the record of e, or counts it. It checks that the decision is still
// valid even when it only counts; otherwise a caller who fails often would get an error for
// a state that the CMK no longer has.
func (v *Vault) recordFailure(ctx context.Context, t *target, e *entry) error {
	if e.rec.Phase == audit.Single && !v.failures.admit(e.rec, v.deadline.Now()) {
		if err := v.stands(v.reading(ctx), t, e); err != nil {
			return err
		}
		v.failures.count(e.rec, 1, v.deadline.Now())
		return nil
	}
	err := v.commit(ctx, t, e)
	if err != nil && !errors.Is(err, errStale) {
		v.failures.count(e.rec, 1, v.deadline.Now()) // written as soon as the log works again
	}
	return err
}

// giveUp records an operation that stayed stale through every attempt, because the key may
// have been used.
func (v *Vault) giveUp(ctx context.Context, e *entry) error {
	err := fmt.Errorf("%w: what it acts on changes faster than it can; try again later", ErrThrottled)
	if e.settled {
		return err
	}
	return v.fail(ctx, nil, e.rec, err)
}

// countFailed counts an operation whose record could not be written.
func (v *Vault) countFailed(r audit.Record, cause error) {
	r.Result, r.Error, r.OutputSize = audit.Failed, errorName(translate(cause)), 0
	v.failures.count(r, 1, v.deadline.Now())
}

// countTurnedAway counts a call that was rejected before the decision.
func (c Client) countTurnedAway(ctx context.Context, q request, cause error) {
	v := c.vault
	r := v.record(q.op, c.principal)
	r.Result, r.Error = audit.Failed, errorName(cause)
	if ctx != nil {
		r.RequestID, r.Reason = stamps(ctx)
	}
	v.describe(&r, q, nil)
	if c.known() != nil {
		r.Result, r.Decision, r.Principal = audit.Refused, "DENY", string(byUnnamed)
		r.Detail = map[string]string{"given": shown(string(c.principal))}
	}
	v.failures.count(r, 1, v.deadline.Now())
}

// countsInBatch is how many counts one commit writes.
const countsInBatch = 128

// writeCounts writes counted failures to the log. It counts those again that cannot be
// written, for the next attempt.
func (v *Vault) writeCounts(counts []audit.Record) {
	for batch := range slices.Chunk(counts, countsInBatch) {
		err := v.store.Commit(context.Background(), func(tx *keystore.Tx) error {
			for _, r := range batch {
				v.note(tx, r)
			}
			return nil
		})
		if err == nil {
			continue
		}
		for _, r := range batch {
			v.failures.count(r, max(1, r.Count), v.deadline.Now())
		}
	}
}
