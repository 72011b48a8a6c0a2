package vault

import (
	"context"
	"fmt"

	"strongroom.example/audit"
)

// A Principal is who acts. The program decides what the names mean and has
// authenticated them; the vault decides what they may do, and records it.
type Principal string

// DefaultOwner is the owner of a vault whose Config names no other.
const DefaultOwner Principal = "owner"

// A Request is one operation before it is allowed.
type Request struct {
	Principal Principal
	Operation Operation
	// Key is the CMK's id; empty for operations on the whole vault.
	Key string
	// Alias and Tags are the CMK's. Of a CMK that is not there, Key or Alias is what was
	// asked for, and the other is empty: who is denied is told the same as if it were there.
	Alias string
	Tags  map[string]string
	// Context is the encryption context, where the operation has one.
	Context EncryptionContext
}

// A Decision is the answer to a Request.
type Decision struct {
	Allow bool
	// Rule names what decided, for the audit; at most 128 bytes.
	Rule string
}

// An Authorizer decides requests. It is called from many goroutines, changes
// nothing in the request, and does not call the vault. An error denies.
type Authorizer interface {
	Authorize(ctx context.Context, r Request) (Decision, error)
}

// ownerOnly is the Authorizer of a vault that was given none: the owner may do
// everything, all others nothing.
type ownerOnly struct{ owner Principal }

func (a ownerOnly) Authorize(_ context.Context, r Request) (Decision, error) {
	return Decision{Allow: r.Principal == a.owner, Rule: "owner"}, nil
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
