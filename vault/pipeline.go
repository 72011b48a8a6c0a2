package vault

import (
	"context"
	"errors"
)

// errNoContext: a nil context would panic somewhere on its way.
var errNoContext = invalid("the context is nil; pass context.Background()")

const (
	// staleTries bounds how often an operation is done anew since what it rested on changed.
	staleTries = 8
	// decisions is how often the Authorizer is asked at least before alias and tags may be
	// others than he saw: else who may tag could keep a CMK from being disabled.
	decisions = 4
)

// onKey runs one operation on one CMK:
//
//	load key → authorize → state × operation → act → record, durably → release
//
// The caller releases its result only if onKey returns nil. At commit the key must be
// what the decision rested on (see stands), else all is done again: nothing is used after
// an acknowledged Disable. An error leaves one record, or is counted (see fail).
func (c Client) onKey(ctx context.Context, q request, act func(context.Context, *target, *entry) error) error {
	v, err := c.begin(ctx, q)
	if err != nil {
		return wrap(q.op, q.key, err)
	}
	defer v.leave()
	var e *entry
	for n := range staleTries {
		q.lenient = n >= decisions
		t, err := v.load(ctx, q.key)
		if err != nil {
			return wrap(q.op, q.key, c.absent(ctx, q, err))
		}
		e, err = c.once(ctx, q, t, act)
		if errors.Is(err, ErrDenied) {
			return wrap(q.op, q.key, err) // a denied caller does not learn which CMK has the alias
		}
		if !errors.Is(err, errStale) {
			return wrap(q.op, t.ID, err)
		}
	}
	return wrap(q.op, q.key, v.giveUp(ctx, e))
}

// onVault runs one operation that acts on no single CMK.
func (c Client) onVault(ctx context.Context, q request, act func(context.Context, *entry) error) error {
	v, err := c.begin(ctx, q)
	if err != nil {
		return wrap(q.op, "", err)
	}
	defer v.leave()
	var e *entry
	for range staleTries {
		e, err = c.once(ctx, q, nil, func(ctx context.Context, _ *target, e *entry) error { return act(ctx, e) })
		if !errors.Is(err, errStale) {
			return wrap(q.op, "", err)
		}
	}
	return wrap(q.op, "", v.giveUp(ctx, e))
}

// begin lets the operation in; leave must follow where it returns nil. A call that it
// turns away is counted under the principal's name.
func (c Client) begin(ctx context.Context, q request) (*Vault, error) {
	v, err := c.vault, c.known()
	if v == nil {
		return nil, err // there is no log
	}
	switch {
	case err != nil:
	case ctx == nil:
		err = errNoContext
	default:
		err = ctx.Err()
	}
	if closed := v.enter(); closed != nil {
		return nil, orElse(err, closed) // the log is closed as well
	}
	if err != nil {
		c.countTurnedAway(ctx, q, err)
		v.leave()
		return nil, err
	}
	return v, nil
}

// once is one pass through the pipeline; t is nil for operations on the vault.
func (c Client) once(ctx context.Context, q request, t *target, act func(context.Context, *target, *entry) error) (*entry, error) {
	v := c.vault
	e, err := c.decide(ctx, q, t)
	if err != nil {
		return e, err
	}
	if err = act(ctx, t, e); err == nil {
		err = c.conclude(ctx, q, t, e)
		if err != nil && e.undo != nil {
			if left := e.undo(err); left != nil {
				err = errors.Join(err, left)
			}
		}
		if e.refusal == nil && !recordable(ctx, err) {
			if err != nil && !e.settled && !errors.Is(err, errStale) {
				v.countFailed(e.rec, err) // it could not be recorded
			}
			return e, err
		}
	}
	if errors.Is(err, errStale) || e.settled {
		return e, err
	}
	return e, v.fail(ctx, t, e.rec, err)
}

// conclude commits what was done. While nothing but alias or tags changes, it is decided
// again, and not done again.
func (c Client) conclude(ctx context.Context, q request, t *target, e *entry) (err error) {
	if e.askAgain {
		t, err = c.decideAgain(ctx, q, t, e)
	}
	if err == nil {
		err = c.vault.commit(ctx, t, e)
	}
	for n := 1; errors.Is(err, errRelabelled); n++ {
		e.lenient = n >= decisions
		if t, err = c.decideAgain(ctx, q, t, e); err == nil {
			err = c.vault.commit(ctx, t, e)
		}
	}
	return err
}

// decide begins the record of an operation, and records a refusal.
func (c Client) decide(ctx context.Context, q request, t *target) (*entry, error) {
	v := c.vault
	e := &entry{rec: v.record(q.op, c.principal), lenient: q.lenient}
	e.rec.InputSize = uint64(q.size)
	e.rec.RequestID, e.rec.Reason = stamps(ctx)
	v.describe(&e.rec, q, t)
	if err := c.permit(ctx, q, t, &e.rec); err != nil {
		return nil, orElse(v.refuse(ctx, e.rec, err), err)
	}
	return e, nil
}

// decideAgain asks the Authorizer by alias and tags as they are now, for each decision
// that the operation rests on. It returns errStale where one does not stand; the next
// pass then returns the reason.
func (c Client) decideAgain(ctx context.Context, q request, was *target, e *entry) (*target, error) {
	now, err := c.reconsider(ctx, q, was, e)
	if err == nil && e.also != nil {
		e.also.e.lenient = e.lenient
		e.also.t, err = c.reconsider(ctx, e.also.q, e.also.t, e.also.e)
	}
	return now, err
}

// reconsider asks the Authorizer again for one decision; was is nil where the operation
// acts on no CMK, or on one that it creates.
func (c Client) reconsider(ctx context.Context, q request, was *target, e *entry) (now *target, err error) {
	if was != nil {
		now, err = c.vault.load(ctx, q.key)
		if err != nil || now.ID != was.ID || !e.outcome && !now.same(was) {
			return nil, errStale
		}
	}
	if c.permit(ctx, q, now, &e.rec) != nil {
		return nil, errStale
	}
	return now, nil
}

// join decides a second request that the operation of e rests on. A refusal is recorded
// here, so that the operation leaves no other record.
func (c Client) join(ctx context.Context, e *entry, q request) (*decided, error) {
	t, err := c.vault.load(ctx, q.key)
	if err != nil {
		e.settled = true
		return nil, wrap(q.op, q.key, c.absent(ctx, q, err))
	}
	second, err := c.decide(ctx, q, t)
	if err != nil {
		e.settled = true
		id := t.ID
		if errors.Is(err, ErrDenied) {
			id = q.key // a denied caller does not learn which CMK has the alias
		}
		return nil, wrap(q.op, id, err)
	}
	e.also = &decided{q, t, second}
	return e.also, nil
}

// absent ends an operation on a CMK that could not be loaded. A caller who would be denied
// gets ErrDenied; only an authorized caller gets the reason.
func (c Client) absent(ctx context.Context, q request, missing error) error {
	e, err := c.decide(ctx, q, nil)
	if err != nil {
		return err
	}
	return c.vault.fail(ctx, nil, e.rec, missing)
}

// reject ends an operation whose arguments are wrong, before anything was done with them;
// q has only those that are right. A caller who would be denied gets ErrDenied, whatever
// the arguments are.
func (c Client) reject(ctx context.Context, q request, cause error) error {
	v, err := c.begin(ctx, q)
	if err != nil {
		return wrap(q.op, q.key, err)
	}
	defer v.leave()
	e := &entry{rec: v.record(q.op, c.principal)}
	e.rec.InputSize = uint64(q.size)
	e.rec.RequestID, e.rec.Reason = stamps(ctx)
	var t *target
	if q.key != "" {
		t, _ = v.load(ctx, q.key) // absent or not: what is wrong comes first
	}
	v.describe(&e.rec, q, t)
	if err := c.allowed(ctx, c.asks(q, t), &e.rec); err != nil {
		return wrap(q.op, q.key, orElse(v.refuse(ctx, e.rec, err), err))
	}
	return wrap(q.op, q.key, v.fail(ctx, nil, e.rec, cause))
}
