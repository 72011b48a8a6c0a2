package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom.example/audit"
	"strongroom.example/vault/internal/inputcopy"
	"strongroom.example/vault/internal/keyid"
)

// Most operations of a Client have one of these shapes, which differ in what they commit and
// in what may have changed between the decision and the commit. All of them run under operate:
//
//   - useKey and useVault compute a result and store nothing but the audit record, the use of
//     a grant that counts its uses, and the removal of approvals that are used up. The CMK must
//     be unchanged at commit.
//   - changeKey changes the record of a CMK. The CMK's state must still allow that.
//   - createMaterial makes material in a driver, between an intent and an outcome. At the
//     outcome the CMK's state must still allow the operation.
//   - destroyMaterial destroys material, between an intent and an outcome. The CMK changes
//     with the intent, so the outcome has no condition.
//
// The others, such as ImportKeyMaterial, are written with the parts of these: decide, commit
// and fail.

// errNoContext rejects a nil context at once, because it would panic later.
var errNoContext = invalid("the context is nil; pass context.Background()")

const (
	// maxAttempts is how often an operation is attempted if the key changes in between each
	// time.
	maxAttempts = 8
	// maxReauthorize bounds how often a decision is repeated because aliases or tags changed
	// in between: a change after the last repetition, which is the fifth decision, does not
	// matter. Without this limit, a principal who may tag a CMK could keep others from
	// disabling it.
	maxReauthorize = 4
)

// request describes one operation to the pipeline.
type request struct {
	op      Operation
	onVault bool   // the operation does not act on a single CMK
	key     string // the CMK's id or alias
	version uint32 // the CMK's version; 0 is the primary
	context boundContext
	size    int    // length of the input in bytes
	alias   string // the requested alias; see Request
	// onDataKey: the operation acts on the named data key dataKey, given by id or name, and
	// on the CMK of that.
	onDataKey bool
	dataKey   string
	newName   string // the requested name of a named data key
	tags      map[string]string
	driver    string
	// resource is the name of a resource that is bound or unbound.
	resource string
	// recipient is the fingerprint of the key to which plaintext is encrypted.
	recipient string
	// subject and approves are those of an Approval, and approved is its CMK.
	subject  string
	approves Operation
	approved *target
	validTo  time.Time // expiry of imported material
	number   int64     // the days of a deletion, or a version, of an Approval
	counted  callCounts
}

// callCounts says what a call has counted already. An attempt that is repeated passes it on to
// the next one, and a part of the call to the next part, so that the call counts once.
type callCounts struct {
	// limited: the Limiter counted the operation, and second, the second one that it depends on.
	limited, second bool
	// use: a use of the client's grants was counted.
	use bool
	// approvals are the approvals that were used up.
	approvals []approvalNeed
}

// name returns what the caller gave for the CMK, either as id or as alias.
func (q request) name() (id, alias string) {
	if _, ok := keyid.Parse(q.key); ok {
		return q.key, ""
	}
	return "", q.key
}

// target is the CMK that an operation acts on, as it was when it was loaded.
type target struct {
	Key
	recordVersion uint64 // version number of the stored record
	// expired reports that the material had expired when the CMK was loaded.
	expired bool
	// data is the named data key of an operation on one.
	data *dataKeyTarget
}

// sameDataKey reports whether two targets have the same named data key, unchanged, or both none.
// An operation may have computed with the record, so that a decision on another would not do.
func (t *target) sameDataKey(as *target) bool {
	if t.data == nil || as.data == nil {
		return t.data == as.data
	}
	return t.data.ID == as.data.ID && t.data.recordVersion == as.data.recordVersion
}

// decision is one pass of an operation, from its authorization to its commit or refusal.
type decision struct {
	client Client
	q      request
	t      *target      // the CMK that was decided on; nil if there is none
	rec    audit.Record // the record of the operation
	policy uint64       // authorizerInForce.recordVersion at the decision
	needs  []approvalNeed
	// keepsApprovals: the operation has no effect and uses no approvals up.
	keepsApprovals bool
	// ignoreNaming: a change of aliases, tags or driver since the decision does not matter, because
	// the decision was repeated maxReauthorize times.
	ignoreNaming bool
	// needsNoPermission: the record is of a failure, of a refusal, of a dry run, of the vault's own
	// work, or of the end of a destruction that began before. A change of aliases, tags, driver or
	// policies since the decision does not matter.
	needsNoPermission bool
	// nested: the result depends on decisions that the record does not have, such as those on
	// the CMKs of a list.
	nested bool
	// recorded: the outcome of the operation is on record already.
	recorded bool
}

// useKey runs an operation that uses a CMK and changes none of its records. use computes the
// result and completes the record. discard wipes a result that is not released; nil means
// that it holds no secret.
func useKey[T any](ctx context.Context, c Client, q request, use func(context.Context, *decision) (T, error), discard func(T)) (T, error) {
	return operate(ctx, c, q, func(ctx context.Context, d *decision) (T, error) {
		out, err := use(ctx, d)
		if err != nil {
			return out, d.fail(ctx, err)
		}
		return out, d.commit(ctx, commitPlan{check: unchanged})
	}, discard)
}

// useVault is useKey for an operation that does not act on a single CMK.
func useVault[T any](ctx context.Context, c Client, q request, use func(context.Context, *decision) (T, error), discard func(T)) (T, error) {
	q.onVault = true
	return useKey(ctx, c, q, use, discard)
}

// do is operate for an operation without a result.
func (c Client) do(ctx context.Context, q request, run func(context.Context, *decision) error) error {
	_, err := operate(ctx, c, q, func(ctx context.Context, d *decision) (struct{}, error) {
		return struct{}{}, run(ctx, d)
	}, nil)
	return err
}

// operate runs one operation:
//
//	load the CMK → authorize → check its state → ask the Limiter → run and commit → release
//
// run does the work and commits it with its audit record. It returns nil only if the record
// is durable: only then does operate release the result. It returns errConflict if the CMK
// changed since the decision; operate then repeats all steps. Every other error is on record
// or counted. operate discards every result that it does not release, so that no result
// computed before an acknowledged Disable is released after it.
func operate[T any](ctx context.Context, c Client, q request, run func(context.Context, *decision) (T, error), discard func(T)) (none T, err error) {
	v, err := c.begin(ctx, q)
	if err != nil {
		return none, q.wrap(q.key, err)
	}
	defer v.leave()
	var d *decision
	for n := range maxAttempts {
		t, id, err := v.targetOf(ctx, q)
		if err != nil {
			return none, q.wrap(q.key, c.denyOrNotFound(ctx, q, err))
		}
		if d, err = c.decide(ctx, q, t); err != nil {
			return none, q.wrap(nameFor(err, q.key, id), err)
		}
		d.ignoreNaming = n >= maxReauthorize // the pass n is the n-th repetition
		out := none
		if err = d.limit(ctx); err == nil {
			out, err = run(ctx, d)
		}
		if err == nil {
			return out, nil
		}
		if discard != nil {
			discard(out)
		}
		if !errors.Is(err, errConflict) {
			return none, q.wrap(nameFor(err, q.key, id), err)
		}
		q.counted = d.q.counted
	}
	return none, q.wrap(q.key, d.failConflict(ctx))
}

// wrap is the function wrap, and adds to the error the named data key that the operation was
// on, as the caller named it.
func (q request) wrap(key string, err error) error {
	err = wrap(q.op, key, err)
	if mine, ok := err.(*Error); ok && q.onDataKey && mine.DataKey == "" {
		named := *mine
		named.DataKey = q.dataKey
		return &named
	}
	return err
}

// nameFor returns the name of the CMK for the caller of an operation that failed with err.
// A denied caller gets the name that it gave, because it must not learn which CMK an alias
// names; every other caller gets the id.
func nameFor(err error, given, id string) string {
	if errors.Is(err, ErrDenied) {
		return given
	}
	return id
}

// targetOf loads the CMK of a request and returns it with its id. It returns nil for an
// operation that does not act on a single CMK.
func (v *Vault) targetOf(ctx context.Context, q request) (*target, string, error) {
	if q.onVault {
		return nil, "", nil
	}
	load, name := v.load, q.key
	if q.onDataKey {
		load, name = v.loadDataKey, q.dataKey
	}
	t, err := load(ctx, name)
	if err != nil {
		return nil, "", err
	}
	return t, t.ID, nil
}

// begin admits the operation. If it returns a nil error, the caller must call leave. A call
// that begin rejects is counted under the principal's name.
func (c Client) begin(ctx context.Context, q request) (*Vault, error) {
	v, err := c.vault, c.checkPrincipal()
	if v == nil {
		return nil, err // without a vault there is no log
	}
	if err == nil && ctx == nil {
		err = errNoContext
	}
	if err == nil {
		err = ctx.Err()
	}
	// A call that is rejected enters too, because it is counted in the log, which must be open.
	if closed := v.enter(); closed != nil {
		return nil, cmp.Or(err, closed)
	}
	if err != nil {
		c.countRejected(ctx, q, err)
		v.leave()
		return nil, err
	}
	return v, nil
}

// checkPrincipal returns ErrDenied for a client without a vault or principal, and for a
// principal whose name the audit log could not tell apart from others.
func (c Client) checkPrincipal() error {
	if c.vault == nil || c.principal == "" {
		return fmt.Errorf("%w: no principal; use Vault.As", ErrDenied)
	}
	if fault := c.principal.fault(); fault != "" {
		return fmt.Errorf("%w: %s", ErrDenied, fault)
	}
	return nil
}

// enter admits an operation, which calls leave when it ends. It fails with ErrClosed once
// Close has begun.
func (v *Vault) enter() error {
	if !v.gate.Enter() {
		return ErrClosed
	}
	return nil
}

func (v *Vault) leave() { v.gate.Leave() }

// copyInput copies the argument b of a call; the caller releases the copy. On a nil vault,
// whose operations are all denied, it copies nothing.
func (v *Vault) copyInput(b []byte) inputcopy.Copy {
	if v == nil {
		return inputcopy.Copy{}
	}
	return v.inputs.Copy(b)
}

// decide starts the record of an operation and asks the Authorizer. It records a refusal.
func (c Client) decide(ctx context.Context, q request, t *target) (*decision, error) {
	d := c.newDecision(ctx, q, t)
	if err := c.permit(ctx, q, t, d); err != nil {
		return nil, cmp.Or(c.vault.refuse(ctx, d.rec, err), err)
	}
	return d, nil
}

// newDecision returns the decision and its record as they are before the Authorizer is
// asked.
func (c Client) newDecision(ctx context.Context, q request, t *target) *decision {
	d := &decision{client: c, q: q, t: t, rec: c.vault.record(q.op, c.principal), policy: c.vault.policyRecord()}
	d.rec.InputSize = uint64(q.size)
	d.rec.RequestID, d.rec.Reason = requestInfo(ctx)
	c.vault.describe(&d.rec, q, t)
	return d
}

// decideSecond decides on a second request that an operation depends on. The error of a
// refusal is on record.
func (c Client) decideSecond(ctx context.Context, q request) (*decision, error) {
	t, id, err := c.vault.targetOf(ctx, q)
	if err != nil {
		return nil, q.wrap(q.key, c.denyOrNotFound(ctx, q, err))
	}
	d, err := c.decide(ctx, q, t)
	if err != nil {
		return nil, q.wrap(nameFor(err, q.key, id), err)
	}
	return d, nil
}

// decideAgain repeats the decision with the present alias and tags, and so that of also, if
// it is not nil. It returns errConflict if a decision changed; the next pass of operate then
// returns the reason.
func (d *decision) decideAgain(ctx context.Context, p commitPlan) error {
	if d.client.principal == principalVault {
		return nil // no Authorizer decides on the vault's own work
	}
	var now *target
	if d.t != nil {
		var err error
		now, _, err = d.client.vault.targetOf(ctx, d.q)
		if err != nil || now.ID != d.t.ID || !now.sameDataKey(d.t) || p.check(d.q.op, now, d.t) != nil {
			return errConflict
		}
	}
	d.policy = d.client.vault.policyRecord()
	if d.client.permit(ctx, d.q, now, d) != nil {
		return errConflict
	}
	d.t = now
	if p.also == nil {
		return nil
	}
	p.also.ignoreNaming = d.ignoreNaming
	return p.also.decideAgain(ctx, commitPlan{check: unchanged})
}

// denyOrNotFound ends an operation on a CMK that could not be loaded. A caller who would be
// denied gets ErrDenied; only an authorized caller gets missing.
func (c Client) denyOrNotFound(ctx context.Context, q request, missing error) error {
	d, err := c.decide(ctx, q, nil)
	if err != nil {
		return err
	}
	return d.fail(ctx, missing)
}

// argumentError ends an operation whose arguments are invalid, before it has any effect. q
// holds only the valid arguments. A caller who would be denied gets ErrDenied whatever the
// arguments are.
func (c Client) argumentError(ctx context.Context, q request, cause error) error {
	v, err := c.begin(ctx, q)
	if err != nil {
		return q.wrap(q.key, err)
	}
	defer v.leave()
	var t *target
	if q.key != "" || q.onDataKey {
		t, _, _ = v.targetOf(ctx, q) // an unknown key does not matter: the invalid argument is reported first
	}
	d := c.newDecision(ctx, q, t)
	if err := c.authorize(ctx, c.authorizerRequest(q, t), d); err != nil {
		return q.wrap(q.key, cmp.Or(v.refuse(ctx, d.rec, err), err))
	}
	d.t = nil // whether the CMK changes does not matter
	return q.wrap(q.key, d.fail(ctx, cause))
}

// describe writes into the record what is known before the decision.
func (v *Vault) describe(r *audit.Record, q request, t *target) {
	if t != nil {
		r.Key, r.KeyVersion, r.Driver = t.ID, t.Version, t.Driver
		if q.version != 0 {
			r.KeyVersion = q.version
		}
	} else if q.approved != nil {
		r.Key = q.approved.ID
	} else if id, alias := q.name(); id != "" {
		r.Key = id
	} else if checkAlias(alias) == nil {
		r.Detail = map[string]string{"alias": alias}
	}
	if q.alias != "" && r.Detail == nil {
		r.Detail = map[string]string{"alias": q.alias}
	}
	if q.onDataKey || q.newName != "" {
		v.recordDataKey(r, q, t)
	}
	if len(q.context.pairs) > 0 {
		r.ContextHash = v.contextHash(q.context)
	}
}
