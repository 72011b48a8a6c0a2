package vault

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"strongroom.example/vault/internal/failures"
	"strongroom.example/vault/internal/inputtext"
)

// A Principal is the name of a user or service. The program authenticates its principals and
// gives their names a meaning; the vault decides each operation of a principal, and records
// it. A Principal has 1 to 256 bytes of UTF-8. The names "(vault)", "(many)" and "(unnamed)"
// are reserved for the vault.
type Principal string

// maxPrincipal is the maximum length in bytes, because each audit record holds the name.
const maxPrincipal = 256

// fault returns what is wrong with the name, or "" if it is valid.
func (p Principal) fault() string {
	switch {
	case p == principalVault || p == principalMany || p == principalUnnamed:
		return fmt.Sprintf("the name %s is reserved for the vault", p)
	case len(p) > maxPrincipal:
		return fmt.Sprintf("the principal has %d bytes, the limit is %d", len(p), maxPrincipal)
	case !utf8.ValidString(string(p)):
		return "the principal is not UTF-8"
	}
	return ""
}

// DefaultOwner is the owner of a vault whose Config names no other.
const DefaultOwner Principal = "owner"

// The recorded principals that are no caller's.
const (
	// principalVault is the principal of the vault's background work.
	principalVault Principal = "(vault)"
	// principalMany is the principal of failures that are counted for several principals.
	principalMany Principal = failures.Many
	// principalUnnamed is the principal of calls whose principal is not valid.
	principalUnnamed Principal = "(unnamed)"
)

// A Request describes one operation to an Authorizer.
type Request struct {
	Principal Principal
	Operation Operation
	// Key is the CMK's id. It is empty for operations on the whole vault.
	Key string
	// Alias, OtherAliases and Tags are those of the CMK; a rule about an alias is about all of
	// them (see Aliases). For a CMK that does not exist, Key or Alias is the name that the
	// caller gave and the other is empty. A denied caller gets the same error as for an
	// existing CMK.
	Alias        string
	OtherAliases []string
	Tags         map[string]string
	// Usage, Origin and KeyDriver are those of the CMK; empty if it does not exist. KeyDriver
	// is the driver of its primary version.
	Usage     KeyUsage
	Origin    Origin
	KeyDriver string
	// Context is the encryption context, if the operation has one.
	Context EncryptionContext
	// DataKey and DataKeyName are the id and the name of the named data key that the operation
	// is on; Key is then its CMK, and Context the context that is stored with it. For one that
	// does not exist, DataKey or DataKeyName is the name that the caller gave and Key is empty.
	DataKey     string
	DataKeyName string
	// Resource is the name of the resource that BindResource or UnbindResource is for.
	Resource string
	// NewAlias, NewTags and Driver are the requested values: the alias of CreateKey,
	// SetAlias and AddAlias, the name of CreateDataKey, ImportDataKey, ImportDataKeyCiphertext and
	// SetDataKeyName, the tags of CreateKey and TagKey, and the driver on which CreateKey makes
	// the CMK or to which MoveKey moves it.
	//
	// Some operations need a second permission, for which the Authorizer is asked
	// separately: CreateKey needs SetAlias if it sets an alias, and TagKey if it sets tags;
	// ImportKeyMaterial needs DeleteImportedKeyMaterial if it shortens the life of the
	// material, and WithdrawApproval needs PutPolicy for an approval of another principal.
	NewAlias string
	NewTags  map[string]string
	Driver   string
	// Recipient is the fingerprint of the recipient of DecryptTo, GenerateDataKeyTo and
	// OpenNamedDataKeyTo.
	Recipient string
	// Subject is that of an Approval, for RemoveProtector, PutPolicy, Approve and the operations
	// on named data keys, and the id of an approval for WithdrawApproval; and Approves the
	// operation that Approve approves. For DryRunFor they are the principal that is asked about
	// and the tried operation.
	Subject  string
	Approves Operation
	// Reason is the reason that WithReason set, and Time the present time by the clock that
	// also decides when material expires. It never goes back.
	Reason string
	Time   time.Time
}

// Aliases returns all aliases of the CMK, the first of which is Alias. It returns nil if there
// are none.
func (r Request) Aliases() []string { return allAliases(r.Alias, r.OtherAliases) }

// describe sets the fields of the CMK.
func (r *Request) describe(t *target) {
	r.Key, r.Alias, r.OtherAliases, r.Tags, r.Usage, r.Origin, r.KeyDriver = t.ID, t.Alias, t.OtherAliases, t.Tags, t.Usage, t.Origin, t.Driver
}

// A Decision is an Authorizer's decision on a Request.
type Decision struct {
	Allow bool
	// Rule names the rule that decided, for the audit log. It is cut to 128 bytes.
	Rule string
	// Approvals is the number of other principals that must have approved the operation with
	// Client.Approve, within the time Within before it. 0 means none; Within is at most seven
	// days, and 0 means an hour. The operation fails with ErrApproval until then, and uses the
	// approvals up. An operation that the vault repeats uses them up once.
	//
	// For RestoreVault only Approvals counts: a restored vault refuses most operations until
	// so many principals other than Config.Owner have approved.
	Approvals int
	Within    time.Duration
	// AnySubject: an approval without a Subject counts, whatever the operation's is, such as the
	// number of days of a deletion.
	AnySubject bool
}

// An Authorizer decides requests. It must be safe for concurrent use, and must not call the
// vault. It may keep and change the maps and the slice of a request. If it returns an error the request
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
func (c Client) permit(ctx context.Context, q request, t *target, d *decision) error {
	d.needs = nil
	ask := c.authorizerRequest(q, t)
	if err := c.authorize(ctx, ask, d); err != nil {
		return err
	}
	switch q.op {
	case OpCreateKey:
		return c.permitNaming(ctx, ask, d)
	case OpWithdrawApproval:
		return c.permitWithdrawal(ctx, ask, d)
	}
	if t == nil {
		return nil
	}
	if !t.Usage.allows(q.op) {
		return fmt.Errorf("%w: the key is for %s; %s needs a key for %v", ErrUsage, t.Usage, q.op, usageTable[q.op])
	}
	if err := t.Origin.allows(q.op); err != nil {
		return err
	}
	if !t.State.allows(q.op) {
		return t.State.refuse(q.op, t.ID)
	}
	if t.data != nil {
		if err := t.data.allows(q.op); err != nil {
			return err
		}
	}
	if q.op == OpImportKeyMaterial && t.shortens(q.validTo) {
		return c.permitShortening(ctx, ask, d)
	}
	return nil
}

// permitShortening asks for the permission to delete material, because an import with an
// earlier ValidTo deletes the material at a time that the importer chooses. The record
// keeps the rule that allowed the import, unless this request is denied.
func (c Client) permitShortening(ctx context.Context, ask Request, d *decision) error {
	rule := d.rec.Rule
	ask.Operation = OpDeleteImportedKeyMaterial
	if err := c.authorize(ctx, ask, d); err != nil {
		return fmt.Errorf("%w; setting an earlier ValidTo needs this permission", err)
	}
	d.rec.Rule = rule
	return nil
}

// permitNaming asks for the permissions to set the alias and the tags of a new CMK. The
// record keeps the rule that allowed CreateKey, unless one of these is denied.
func (c Client) permitNaming(ctx context.Context, ask Request, d *decision) error {
	rule := d.rec.Rule
	if ask.NewAlias != "" {
		ask.Operation = OpSetAlias
		if err := c.authorize(ctx, ask, d); err != nil {
			return err
		}
	}
	if len(ask.NewTags) > 0 {
		ask.Operation = OpTagKey
		if err := c.authorize(ctx, ask, d); err != nil {
			return err
		}
	}
	d.rec.Rule = rule
	return nil
}

// authorizerRequest returns the Request for the Authorizer. t is nil if the CMK does not exist.
func (c Client) authorizerRequest(q request, t *target) Request {
	ask := Request{Principal: c.principal, Operation: q.op, Context: q.context.pairs, NewAlias: cmp.Or(q.alias, q.newName), NewTags: q.tags, Driver: q.driver, Resource: q.resource, Recipient: q.recipient,
		Subject: q.subject, Approves: q.approves}
	t = cmp.Or(t, q.approved)
	if t != nil {
		ask.describe(t)
	} else {
		ask.Key, ask.Alias = q.name()
	}
	if q.onDataKey {
		ask.describeDataKey(q, t)
	}
	return ask
}

// errAuthorizer reports a denial because the Authorizer failed.
var errAuthorizer = fmt.Errorf("%w: the authorizer failed", ErrDenied)

// failedRule is recorded if the Authorizer failed and named no rule.
const failedRule = "(the authorizer failed)"

// authorize asks the Authorizer and records the decision.
func (c Client) authorize(ctx context.Context, ask Request, d *decision) error {
	d.rec.Decision, d.rec.Rule = "DENY", ""
	if c.vault.restoring.Load() && !slices.Contains(whileRestoring, ask.Operation) {
		return errRestoring
	}
	grant := ""
	if c.grant != "" {
		grant = " by grant " + c.grant
		if err := c.grantAllows(ctx, ask, d); err != nil {
			d.rec.Rule = "not" + grant
			return fmt.Errorf("%w: %s may not %s: %w", ErrDenied, inputtext.Quote(string(c.principal)), ask.Operation, err)
		}
	}
	by, err := c.ask(ctx, ask)
	d.rec.Rule = cut(by.Rule, 128) + grant
	switch {
	case err != nil: // recorded, because a policy server that is unreachable is not a denial by policy
		d.rec.Rule = cmp.Or(d.rec.Rule, failedRule)
		return fmt.Errorf("%w: %w", errAuthorizer, err)
	case !by.Allow:
		return fmt.Errorf("%w: %s may not %s", ErrDenied, inputtext.Quote(string(c.principal)), ask.Operation)
	case by.Approvals > 0:
		if err := c.demandApprovals(ctx, ask, by, d); err != nil {
			return err
		}
	}
	d.rec.Decision = "ALLOW"
	return nil
}

// ask asks the Authorizer in force. It passes copies of the maps and the slice to an Authorizer
// of the program, because that may keep or change them.
func (c Client) ask(ctx context.Context, ask Request) (Decision, error) {
	v := c.vault
	by, err := v.authorizer(ctx)
	if err != nil {
		return Decision{}, err
	}
	switch by.Authorizer.(type) {
	case ownerOnly:
		return by.Authorize(ctx, ask)
	case Policies:
	default:
		ask.Context, ask.Tags, ask.NewTags = maps.Clone(ask.Context), maps.Clone(ask.Tags), maps.Clone(ask.NewTags)
		ask.OtherAliases = slices.Clone(ask.OtherAliases)
	}
	_, ask.Reason = requestInfo(ctx)
	ask.Time = v.deadline.Now()
	return by.Authorize(ctx, ask)
}

// An authorizerInForce is the Authorizer that decides at a moment.
type authorizerInForce struct {
	Authorizer
	// recordVersion is the version number of the record currentPolicy that it was compiled from; 0
	// if there is none.
	recordVersion uint64
}

// policyCache holds the compiled policies in force.
type policyCache struct {
	now     atomic.Pointer[authorizerInForce]
	compile sync.Mutex
}

// authorizer returns the Authorizer in force: that of Config, or the stored policies.
func (v *Vault) authorizer(ctx context.Context) (*authorizerInForce, error) {
	now := v.policies.now.Load()
	if now != nil && (v.cfg.Policies == nil || now.recordVersion == v.store.Version(currentPolicy)) {
		return now, nil
	}
	v.policies.compile.Lock()
	defer v.policies.compile.Unlock()
	now = &authorizerInForce{Authorizer: v.cfg.Authorizer}
	if v.cfg.Policies != nil {
		var err error
		if now, err = v.compilePolicies(ctx); err != nil {
			return nil, err
		}
	}
	v.policies.now.Store(now)
	return now, nil
}

// policyRecord returns the version number of the record of the policies in force.
func (v *Vault) policyRecord() uint64 {
	if v.cfg.Policies == nil {
		return 0
	}
	return v.store.Version(currentPolicy)
}

// A Limiter limits the rate of operations. It must be safe for concurrent use, and must not
// call the vault or keep the maps of a Request. Package vault/throttle has one.
type Limiter interface {
	// Limit is called for each operation that the Authorizer allowed, before it is done. It
	// returns 0 if the operation may be done, and counts it; or else the time to wait before
	// the next attempt. Request.Time is the present time.
	Limit(r Request) time.Duration
}

// A LimitForecaster is a Limiter that can forecast its results, for DryRun and DryRunFor.
type LimitForecaster interface {
	Limiter
	// Forecast returns the result that Limit would return, and counts nothing.
	Forecast(r Request) time.Duration
}

// errLimit is the error of an operation above a limit.
var errLimit = fmt.Errorf("%w: above the limit of the vault's Limiter", ErrThrottled)

// limit asks the Limiter, unless it has counted the operation already. The error of an operation
// above the limit is on record.
func (d *decision) limit(ctx context.Context) error {
	v := d.client.vault
	if v.cfg.Limiter == nil || d.q.counted.limited {
		return nil
	}
	if err := d.aboveLimit(v.cfg.Limiter.Limit); err != nil {
		return d.fail(ctx, err)
	}
	d.q.counted.limited = true
	return nil
}

// forecast returns the error that limit would return, and counts nothing.
func (d *decision) forecast() error {
	if l, ok := d.client.vault.cfg.Limiter.(LimitForecaster); ok {
		return d.aboveLimit(l.Forecast)
	}
	return nil
}

// aboveLimit asks a method of the Limiter how long the operation has to wait.
func (d *decision) aboveLimit(limit func(Request) time.Duration) error {
	ask := d.client.authorizerRequest(d.q, d.t)
	ask.Time = d.client.vault.deadline.Now()
	if wait := limit(ask); wait > 0 {
		return &Error{Op: d.q.op, Key: ask.Key, RetryAfter: wait, Err: errLimit}
	}
	return nil
}

type requestInfoKey int

const (
	requestIDKey requestInfoKey = iota
	reasonKey
)

// WithRequestID returns a context whose operations are recorded with the request id. It
// cuts id to 128 bytes.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey, cut(id, 128))
}

// WithReason returns a context whose operations are recorded with the reason. It cuts
// reason to 256 bytes.
func WithReason(ctx context.Context, reason string) context.Context {
	return context.WithValue(ctx, reasonKey, cut(reason, 256))
}

func cut(s string, n int) string { return s[:min(len(s), n)] }

// requestInfo returns the values that WithRequestID and WithReason stored in ctx.
func requestInfo(ctx context.Context) (id, reason string) {
	id, _ = ctx.Value(requestIDKey).(string)
	reason, _ = ctx.Value(reasonKey).(string)
	return id, reason
}
