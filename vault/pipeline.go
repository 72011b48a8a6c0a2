package vault

import (
	"context"
	"errors"
	"fmt"
)

// errStale: what the decision rested on changed before the record was durable.
var errStale = errors.New("it changed meanwhile")

// errNoContext: a nil context would panic somewhere on its way.
var errNoContext = invalid("the context is nil; pass context.Background()")

// staleTries bounds how often an operation is done anew for that.
const staleTries = 8

// onKey runs one operation on one CMK:
//
//	load key → authorize → state × operation → act → record, durably → release
//
// The caller releases its result only if onKey returns nil. At commit the key's
// record must be what the decision rested on, else all is done anew: nothing is
// used after an acknowledged Disable.
func (c Client) onKey(ctx context.Context, q request, act func(context.Context, *target, *entry) error) error {
	v, err := c.begin(ctx, q)
	if err != nil {
		return wrap(q.op, q.key, err)
	}
	defer v.leave()
	for range staleTries {
		t, err := v.load(ctx, q.key)
		if errors.Is(err, ErrNotFound) {
			err = c.absent(ctx, q, err)
		}
		if err != nil {
			return wrap(q.op, q.key, err)
		}
		err = c.once(ctx, q, t, act)
		if errors.Is(err, ErrDenied) {
			return wrap(q.op, q.key, err) // who may not use an alias learns no id
		}
		if !errors.Is(err, errStale) {
			return wrap(q.op, t.ID, err)
		}
	}
	return wrap(q.op, q.key, fmt.Errorf("%w: the key changes faster than it can be used", ErrThrottled))
}

// onVault runs one operation that acts on no single CMK.
func (c Client) onVault(ctx context.Context, q request, act func(context.Context, *entry) error) error {
	v, err := c.begin(ctx, q)
	if err != nil {
		return wrap(q.op, "", err)
	}
	defer v.leave()
	for range staleTries {
		err = c.once(ctx, q, nil, func(ctx context.Context, _ *target, e *entry) error { return act(ctx, e) })
		if !errors.Is(err, errStale) {
			return wrap(q.op, "", err)
		}
	}
	return wrap(q.op, "", fmt.Errorf("%w: what it acts on changes faster than it can", ErrThrottled))
}

// begin lets the operation in; leave must follow where it returns nil.
func (c Client) begin(ctx context.Context, q request) (*Vault, error) {
	if err := c.known(); err != nil {
		return nil, err
	}
	if ctx == nil {
		return nil, errNoContext
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.vault, c.vault.enter()
}

// once is one pass through the pipeline; t is nil for operations on the vault.
func (c Client) once(ctx context.Context, q request, t *target, act func(context.Context, *target, *entry) error) error {
	v := c.vault
	e, err := c.decide(ctx, q, t)
	if err != nil {
		return err
	}
	if err = act(ctx, t, e); err == nil {
		err = v.commit(ctx, t, e)
		if err != nil && e.undo != nil {
			err = errors.Join(err, e.undo(err))
		}
		if e.refusal == nil && !recordable(ctx, err) {
			return err
		}
	}
	if errors.Is(err, errStale) || e.settled {
		return err
	}
	return v.fail(ctx, t, e.rec, err)
}

// decide begins the record of an operation, and records a refusal.
func (c Client) decide(ctx context.Context, q request, t *target) (*entry, error) {
	v := c.vault
	e := &entry{rec: v.record(q.op, c.principal)}
	e.rec.InputSize = uint64(q.size)
	e.rec.RequestID, e.rec.Reason = stamps(ctx)
	if err := v.describe(&e.rec, q, t); err != nil {
		return nil, err
	}
	if err := c.permit(ctx, q, t, &e.rec); err != nil {
		return nil, orElse(v.refuse(ctx, t, e.rec, err), err)
	}
	return e, nil
}

// absent answers for a CMK that is not there: denied is who would be if it were, and
// only others are told that it is missing.
func (c Client) absent(ctx context.Context, q request, missing error) error {
	_, err := c.decide(ctx, q, nil)
	return orElse(err, missing)
}
