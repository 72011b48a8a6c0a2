package vault

import (
	"context"
	"errors"
)

// errNoContext rejects a nil context at once, because it would panic later.
var errNoContext = invalid("the context is nil; pass context.Background()")

const (
	// staleTries bounds how often an operation is repeated because the key changed in
	// between.
	staleTries = 8
	// decisions is the number of times that the Authorizer is asked before a change of alias
	// and tags no longer repeats the decision. Without this limit, a principal who may tag a
	// CMK could keep others from disabling it.
	decisions = 4
)

// onKey runs one operation on one CMK:
//
//	load key → authorize → state × operation → act → record, durably → release
//
// The caller releases its result only if onKey returns nil. At commit the key must still be
// as it was at the decision (see stands); otherwise onKey repeats the operation, so that no
// result computed before an acknowledged Disable is released after it. An error writes one
// record or is counted (see fail).
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
			return wrap(q.op, q.key, err) // a denied caller must not learn which CMK has the alias
		}
		if !errors.Is(err, errStale) {
			return wrap(q.op, t.ID, err)
		}
	}
	return wrap(q.op, q.key, v.giveUp(ctx, e))
}

// onVault runs one operation that does not act on a single CMK.
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

// begin admits the operation. If it returns a nil error, the caller must call leave. A call
// that begin rejects is counted under the principal's name.
func (c Client) begin(ctx context.Context, q request) (*Vault, error) {
	v, err := c.vault, c.known()
	if v == nil {
		return nil, err // without a vault there is no log
	}
	switch {
	case err != nil:
	case ctx == nil:
		err = errNoContext
	default:
		err = ctx.Err()
	}
	if closed := v.enter(); closed != nil {
		return nil, orElse(err, closed) // the log is closed too
	}
	if err != nil {
		c.countTurnedAway(ctx, q, err)
		v.leave()
		return nil, err
	}
	return v, nil
}

// once runs the pipeline once. t is nil for operations on the vault.
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
				v.countFailed(e.rec, err) // its record could not be written
			}
			return e, err
		}
	}
	if errors.Is(err, errStale) || e.settled {
		return e, err
	}
	return e, v.fail(ctx, t, e.rec, err)
}

// conclude commits the operation. If only the alias or tags changed, it repeats the
// decision but not the operation.
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

// decide starts the record of an operation and asks the Authorizer. It records a refusal.
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

// decideAgain asks the Authorizer with the present alias and tags, for each decision that
// the operation depends on. It returns errStale if a decision changed; the next pass then
// returns the reason.
func (c Client) decideAgain(ctx context.Context, q request, was *target, e *entry) (*target, error) {
	now, err := c.reconsider(ctx, q, was, e)
	if err == nil && e.also != nil {
		e.also.e.lenient = e.lenient
		e.also.t, err = c.reconsider(ctx, e.also.q, e.also.t, e.also.e)
	}
	return now, err
}

// reconsider repeats one decision. was is nil if the operation acts on no CMK, or on one
// that it creates.
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

// join decides a second request that the operation of e depends on. It records a refusal
// itself, and sets e.settled so that the operation writes no other record.
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
			id = q.key // a denied caller must not learn which CMK has the alias
		}
		return nil, wrap(q.op, id, err)
	}
	e.also = &decided{q, t, second}
	return e.also, nil
}

// absent ends an operation on a CMK that could not be loaded. A caller who would be denied
// gets ErrDenied; only an authorized caller gets missing.
func (c Client) absent(ctx context.Context, q request, missing error) error {
	e, err := c.decide(ctx, q, nil)
	if err != nil {
		return err
	}
	return c.vault.fail(ctx, nil, e.rec, missing)
}

// reject ends an operation whose arguments are invalid, before it has any effect. q holds
// only the valid arguments. A caller who would be denied gets ErrDenied whatever the
// arguments are.
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
		t, _ = v.load(ctx, q.key) // an unknown key does not matter: the invalid argument is reported first
	}
	v.describe(&e.rec, q, t)
	if err := c.allowed(ctx, c.asks(q, t), &e.rec); err != nil {
		return wrap(q.op, q.key, orElse(v.refuse(ctx, e.rec, err), err))
	}
	return wrap(q.op, q.key, v.fail(ctx, nil, e.rec, cause))
}
