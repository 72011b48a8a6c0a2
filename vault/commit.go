package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// fail records an operation that was allowed and did not succeed, or counts it where its
// principal failed at the same too often. It returns cause, or why that could not be
// recorded. Where the CMK changed since it was loaded, the error is errStale.
func (v *Vault) fail(ctx context.Context, t *target, r audit.Record, cause error) error {
	cause = translate(cause)
	r.Result, r.Error, r.OutputSize = audit.Failed, errorName(cause), 0
	e := &entry{rec: r, lenient: true, exact: errors.Is(cause, ErrNotFound)}
	return orElse(v.recordFailure(context.WithoutCancel(ctx), t, e), cause)
}

// refuse records a refusal, or counts it. An error says that it could not be recorded.
// Whether the key changed since it was loaded makes no difference: a stranger must not
// learn that there is one that does.
func (v *Vault) refuse(ctx context.Context, r audit.Record, cause error) error {
	r.Result, r.Error = audit.Refused, errorName(cause)
	return v.recordFailure(context.WithoutCancel(ctx), nil, &entry{rec: r})
}

// recordFailure commits the record of e, or counts it. Counting asks as well whether the
// decision stands: else a caller who fails often would get the reasons of a CMK as it was.
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
		v.failures.count(e.rec, 1, v.deadline.Now()) // it is written once the log can be
	}
	return err
}

// giveUp records an operation that was stale again and again: the key was used.
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

// countTurnedAway counts a call that did not come to a decision.
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

// writeCounts writes what was counted. Counts that cannot be written wait for the next
// time.
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
