package vault

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"unicode/utf8"

	"strongroom.example/audit"
)

// A Principal is who acts. The program decides what the names mean and has
// authenticated them; the vault decides what they may do, and records it. It has 1 to 256
// bytes of UTF-8, and none of the vault's own names: "(vault)", "(many)" and "(unnamed)".
type Principal string

// maxPrincipal is how long a Principal is: it stands in each record.
const maxPrincipal = 256

// fault says what is wrong with a name, if it is not empty.
func (p Principal) fault() string {
	switch {
	case p == byItself || p == byMany || p == byUnnamed:
		return fmt.Sprintf("the name %s is the vault's own in the audit", p)
	case len(p) > maxPrincipal:
		return fmt.Sprintf("the principal has %d bytes, the limit is %d", len(p), maxPrincipal)
	case !utf8.ValidString(string(p)):
		return "the principal is not UTF-8"
	}
	return ""
}

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
	// NewAlias, NewTags and Driver are what is asked for: the alias of CreateKey and
	// SetAlias, the tags of CreateKey and TagKey, the driver that CreateKey makes the CMK
	// on or MoveKey moves it to. A CreateKey with an alias is asked for as SetAlias as well,
	// one with tags as TagKey: who may not name or tag keys may not do it in passing. An
	// ImportKeyMaterial that shortens the life of material is asked for as
	// DeleteImportedKeyMaterial as well.
	NewAlias string
	NewTags  map[string]string
	Driver   string
}

// A Decision is the answer to a Request.
type Decision struct {
	Allow bool
	// Rule names what decided, for the audit; at most 128 bytes.
	Rule string
}

// An Authorizer decides requests. It is called from many goroutines and does not call the
// vault. The maps in a request are its own. An error denies, and is wrapped in what the caller
// gets.
//
// It may be asked several times for one operation: again where the CMK changed before the
// commit, again right before the commit of an operation of several steps (ReEncrypt, what
// makes material, changes of protectors, Backup), and by ListKeys for DescribeKey on each
// CMK. The answer that came last counts.
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
	ask := c.asks(q, t)
	if err := c.allowed(ctx, ask, r); err != nil {
		return err
	}
	if q.op == OpCreateKey {
		return c.permitNaming(ctx, ask, r)
	}
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
	if q.op == OpImportKeyMaterial && t.shortens(q.validTo) {
		return c.permitShortening(ctx, ask, r)
	}
	return nil
}

// permitShortening asks for the permission to delete material: an import that ends its life
// sooner deletes it, at a time of the importer's choice. On record is the rule by which
// material may be imported, unless that is denied.
func (c Client) permitShortening(ctx context.Context, ask Request, r *audit.Record) error {
	rule := r.Rule
	ask.Operation = OpDeleteImportedKeyMaterial
	if err := c.allowed(ctx, ask, r); err != nil {
		return fmt.Errorf("%w, which an earlier ValidTo than the material has comes to", err)
	}
	r.Rule = rule
	return nil
}

// asks is what the Authorizer is asked; t is nil where there is no such CMK.
func (c Client) asks(q request, t *target) Request {
	ask := Request{Principal: c.principal, Operation: q.op, Context: q.context.pairs, NewAlias: q.alias, NewTags: q.tags, Driver: q.driver}
	if t != nil {
		ask.Key, ask.Alias, ask.Tags = t.ID, t.Alias, t.Tags
	} else {
		ask.Key, ask.Alias = q.name()
	}
	return ask
}

// errAuthorizer is a denial because the Authorizer failed.
var errAuthorizer = fmt.Errorf("%w: the authorizer failed", ErrDenied)

// failedRule stands on record where the Authorizer failed and named no rule.
const failedRule = "(the authorizer failed)"

// allowed asks the Authorizer, and puts the answer on record. An Authorizer of the program
// is given maps of its own: it may keep or change them, and neither the vault nor the next
// decision sees that.
func (c Client) allowed(ctx context.Context, ask Request, r *audit.Record) error {
	if _, own := c.vault.cfg.Authorizer.(ownerOnly); !own {
		ask.Context, ask.Tags, ask.NewTags = maps.Clone(ask.Context), maps.Clone(ask.Tags), maps.Clone(ask.NewTags)
	}
	d, err := c.vault.cfg.Authorizer.Authorize(ctx, ask)
	r.Decision, r.Rule = "ALLOW", cut(d.Rule, 128)
	if err == nil && d.Allow {
		return nil
	}
	r.Decision = "DENY"
	if err != nil { // on record too: a policy server that is away is no denial by policy
		r.Rule = cmp.Or(r.Rule, failedRule)
		return fmt.Errorf("%w: %w", errAuthorizer, err)
	}
	return fmt.Errorf("%w: %s may not %s", ErrDenied, shown(string(c.principal)), ask.Operation)
}

// permitNaming asks for the alias and the tags that a new CMK is to have. On record is
// the rule by which it may be made, unless one of these is denied.
func (c Client) permitNaming(ctx context.Context, ask Request, r *audit.Record) error {
	rule := r.Rule
	if ask.NewAlias != "" {
		ask.Operation = OpSetAlias
		if err := c.allowed(ctx, ask, r); err != nil {
			return err
		}
	}
	if len(ask.NewTags) > 0 {
		ask.Operation = OpTagKey
		if err := c.allowed(ctx, ask, r); err != nil {
			return err
		}
	}
	r.Rule = rule
	return nil
}
