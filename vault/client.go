package vault

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/audit"
	"strongroom.example/keystore"
)

// A Client is a vault as one principal sees it; every operation hangs on it. It is
// a small value. The zero Client is denied everything.
type Client struct {
	vault     *Vault
	principal Principal
}

// As returns the client through which p acts. An empty principal is denied
// everything.
func (v *Vault) As(p Principal) Client { return Client{v, p} }

// EncryptionContext is what a ciphertext is bound to: Decrypt must be given the
// same pairs, in any order. It is authenticated, not secret; at most 8 KiB in
// canonical form. nil and empty are the same.
type EncryptionContext map[string]string

// request is one operation as a method describes it to the pipeline.
type request struct {
	op      Operation
	key     string // CMK id or alias
	version uint32 // the CMK's version; 0: the primary
	context EncryptionContext
	size    int // bytes of input
}

// name returns what the caller gave for the CMK, as the one or the other.
func (q request) name() (id, alias string) {
	if _, ok := parseKeyID(q.key); ok {
		return q.key, ""
	}
	return "", q.key
}

// target is the CMK that an operation acts on, as it was when it was loaded.
type target struct {
	Key
	record uint64 // version of the stored record
	// expired: its material had expired when it was loaded.
	expired bool
}

// entry is what an operation leaves behind: its audit record, and its changes.
type entry struct {
	rec audit.Record
	// change alters the store in the very batch of the record.
	change func(*keystore.Tx) error
	// commit replaces the store's plain commit.
	commit func(context.Context, func(*keystore.Tx) error) error
	// refusal is change's error, when it was that which ended the commit.
	refusal error
	// detached: the change reads the key's record itself, and may find it altered.
	detached bool
	// undo takes back what was done to the device when the commit failed.
	undo func(error) error
	// settled: the failure is on record already.
	settled bool
}

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

// known answers ErrDenied for a client without vault or principal, or by the name under
// which the vault records what it does by itself.
func (c Client) known() error {
	if c.vault == nil || c.principal == "" {
		return fmt.Errorf("%w: no principal; use Vault.As", ErrDenied)
	}
	if c.principal == byItself || c.principal == byMany {
		return fmt.Errorf("%w: the name %s is the vault's own in the audit", ErrDenied, c.principal)
	}
	return nil
}

// reject returns what is wrong with arguments; who is nobody is told that alone.
func (c Client) reject(op Operation, key string, err error) error {
	return wrap(op, key, orElse(c.known(), err))
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

// recordable reports whether a commit failed that left the log able to tell so: the
// caller gave up before it was begun, though the key was used, or asked for too much.
func recordable(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil && errors.Is(err, ctx.Err()) || errors.Is(err, ErrTooLarge))
}

// describe writes into the record what is known before the decision.
func (v *Vault) describe(r *audit.Record, q request, t *target) error {
	if t != nil {
		r.Key, r.KeyVersion, r.Driver = t.ID, t.Version, t.Driver
		if q.version != 0 {
			r.KeyVersion = q.version
		}
	} else if id, alias := q.name(); id != "" {
		r.Key = id
	} else if checkAlias(alias) == nil {
		r.Detail = map[string]string{"alias": alias}
	}
	if len(q.context) == 0 {
		return nil
	}
	hash, err := v.contextHash(q.context)
	r.ContextHash = hash
	return err
}

// permit decides by authorization, then by state: a stranger learns no states.
func (c Client) permit(ctx context.Context, q request, t *target, r *audit.Record) error {
	ask := Request{Principal: c.principal, Operation: q.op, Context: q.context}
	if t != nil {
		ask.Key, ask.Alias, ask.Tags = t.ID, t.Alias, t.Tags
	} else {
		ask.Key, ask.Alias = q.name()
	}
	d, err := c.vault.cfg.Authorizer.Authorize(ctx, ask)
	r.Rule = cut(d.Rule, 128)
	if err != nil || !d.Allow {
		r.Decision = "DENY"
		if err != nil {
			return fmt.Errorf("%w: the authorizer failed", ErrDenied)
		}
		return fmt.Errorf("%w: %s may not %s", ErrDenied, c.principal, q.op)
	}
	r.Decision = "ALLOW"
	if t == nil {
		return nil
	}
	if !t.Usage.allows(q.op) {
		return fmt.Errorf("%w: this one is for %s, %s takes one for %v", ErrUsage, t.Usage, q.op, usageTable[q.op])
	}
	if err := t.Origin.allows(q.op); err != nil {
		return err
	}
	if !t.State.allows(q.op) {
		return t.State.refuse(q.op, t.ID)
	}
	return nil
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
