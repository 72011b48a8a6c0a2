package vault

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"unicode/utf8"

	"strongroom.example/audit"
)

// A Principal is the name of a user or service. The program authenticates its principals
// and decides what the names mean; the vault decides what a principal may do, and records
// it. A Principal has 1 to 256 bytes of UTF-8. The names "(vault)", "(many)" and
// "(unnamed)" are reserved for the vault.
type Principal string

// maxPrincipal is the maximum length in bytes, because each audit record holds the name.
const maxPrincipal = 256

// fault returns what is wrong with the name, or "" if it is valid.
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

// A Request describes one operation to an Authorizer.
type Request struct {
	Principal Principal
	Operation Operation
	// Key is the CMK's id. It is empty for operations on the whole vault.
	Key string
	// Alias and Tags are those of the CMK. For a CMK that does not exist, Key or Alias is
	// what the caller gave and the other is empty. A denied caller gets the same error as
	// for an existing CMK.
	Alias string
	Tags  map[string]string
	// Context is the encryption context, if the operation has one.
	Context EncryptionContext
	// NewAlias, NewTags and Driver are the requested values: the alias of CreateKey and
	// SetAlias, the tags of CreateKey and TagKey, and the driver on which CreateKey makes
	// the CMK or to which MoveKey moves it.
	//
	// Some operations need a second permission, for which the Authorizer is asked
	// separately: CreateKey needs SetAlias if it sets an alias, and TagKey if it sets tags;
	// ImportKeyMaterial needs DeleteImportedKeyMaterial if it shortens the life of the
	// material.
	NewAlias string
	NewTags  map[string]string
	Driver   string
}

// A Decision is an Authorizer's decision on a Request.
type Decision struct {
	Allow bool
	// Rule names the rule that decided, for the audit log. It is cut to 128 bytes.
	Rule string
}

// An Authorizer decides requests. It must be safe for concurrent use, and must not call the
// vault. It may keep and change the maps of a request. If it returns an error the request
// is denied, and the caller gets an error that wraps it.
//
// The vault may ask several times for one operation; the last decision counts. It asks
// again if the CMK changed before the commit, and right before the commit of an operation
// that takes several steps (ReEncrypt, operations that make material, changes of
// protectors, Backup). ListKeys asks for DescribeKey on each CMK.
type Authorizer interface {
	Authorize(ctx context.Context, r Request) (Decision, error)
}

// ownerOnly is the default Authorizer: the owner may do everything, all other principals
// nothing.
type ownerOnly struct{ owner Principal }

func (a ownerOnly) Authorize(_ context.Context, r Request) (Decision, error) {
	return Decision{Allow: r.Principal == a.owner, Rule: "owner"}, nil
}

// permit checks the authorization first and the state second, so that a denied caller
// learns nothing of the state.
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

// permitShortening asks for the permission to delete material, because an import with an
// earlier ValidTo deletes the material at a time that the importer chooses. The record
// keeps the rule that allowed the import, unless this request is denied.
func (c Client) permitShortening(ctx context.Context, ask Request, r *audit.Record) error {
	rule := r.Rule
	ask.Operation = OpDeleteImportedKeyMaterial
	if err := c.allowed(ctx, ask, r); err != nil {
		return fmt.Errorf("%w, which an earlier ValidTo than the material has comes to", err)
	}
	r.Rule = rule
	return nil
}

// asks returns the Request for the Authorizer. t is nil if the CMK does not exist.
func (c Client) asks(q request, t *target) Request {
	ask := Request{Principal: c.principal, Operation: q.op, Context: q.context.pairs, NewAlias: q.alias, NewTags: q.tags, Driver: q.driver}
	if t != nil {
		ask.Key, ask.Alias, ask.Tags = t.ID, t.Alias, t.Tags
	} else {
		ask.Key, ask.Alias = q.name()
	}
	return ask
}

// errAuthorizer reports a denial because the Authorizer failed.
var errAuthorizer = fmt.Errorf("%w: the authorizer failed", ErrDenied)

// failedRule is recorded if the Authorizer failed and named no rule.
const failedRule = "(the authorizer failed)"

// allowed asks the Authorizer and records the decision. It passes copies of the maps to an
// Authorizer of the program, because that may keep or change them.
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
	if err != nil { // recorded, because a policy server that is unreachable is not a denial by policy
		r.Rule = cmp.Or(r.Rule, failedRule)
		return fmt.Errorf("%w: %w", errAuthorizer, err)
	}
	return fmt.Errorf("%w: %s may not %s", ErrDenied, shown(string(c.principal)), ask.Operation)
}

// permitNaming asks for the permissions to set the alias and the tags of a new CMK. The
// record keeps the rule that allowed CreateKey, unless one of these is denied.
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
