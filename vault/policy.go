package vault

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom.example/keystore"
	"strongroom.example/vault/internal/inputtext"
	"strongroom.example/vault/internal/record"
)

// A PolicyVersion describes one version of a vault's policies.
type PolicyVersion struct {
	// Number counts the versions from 1.
	Number uint64 `json:"number"`
	// Digest is the hash of the document, in hexadecimal: SHA-256, or SM3 in the SM edition.
	Digest    string    `json:"digest"`
	Principal Principal `json:"principal"`
	Time      time.Time `json:"time"`
	Size      int       `json:"size"`
}

const (
	// MaxPolicy is the maximum length of a policy document in bytes.
	MaxPolicy = 256 << 10
	// keptPolicies is the number of versions that remain readable.
	keptPolicies = 100
	// policyPart is the length of a stored part of a document.
	policyPart = 30 << 10

	currentPolicy = "policy/current"
	policyNumbers = "policy/version/"
)

func policyNumberPath(n uint64) string { return policyNumbers + fmt.Sprintf("%010d", n) }

func policyPartPath(n uint64, part int) string {
	return fmt.Sprintf("policy/text/%010d/%04d", n, part)
}

// PutPolicy replaces the vault's policies by those of document, in the form of
// Config.Policies. They are in force for every operation that is recorded after PutPolicy
// returned. The document is stored with a new version number; the last 100 versions remain
// readable, and putting an old document again restores it.
//
// Before the first PutPolicy, Config.Owner may do everything.
//
// Errors: ErrInvalid if the document is not valid, or if no principal could change the
// policies again; ErrTooLarge; ErrUnsupported without Config.Policies; ErrDenied.
func (c Client) PutPolicy(ctx context.Context, document []byte) (PolicyVersion, error) {
	if len(document) > MaxPolicy {
		return PolicyVersion{}, c.argumentError(ctx, request{op: OpPutPolicy}, fmt.Errorf("%w: the policies have %d bytes, the limit is %d", ErrTooLarge, len(document), MaxPolicy))
	}
	document = bytes.Clone(document)
	q := request{op: OpPutPolicy, onVault: true, size: len(document)}
	if c.vault != nil {
		q.subject = c.vault.PolicyDigest(document)
	}
	return operate(ctx, c, q, func(ctx context.Context, d *decision) (PolicyVersion, error) {
		if err := c.checkPolicy(ctx, document); err != nil {
			return PolicyVersion{}, d.fail(ctx, err)
		}
		n := PolicyVersion{Digest: q.subject, Principal: c.principal, Time: c.vault.clock.Now().UTC(), Size: len(document)}
		err := d.commit(ctx, commitPlan{check: unchanged, change: func(tx *keystore.Tx) error {
			last, err := policyInTx(tx)
			if err != nil {
				return err
			}
			n.Number = last.Number + 1
			putPolicy(tx, n, document)
			d.rec.Detail = map[string]string{"version": strconv.FormatUint(n.Number, 10), "digest": n.Digest}
			return nil
		}})
		return n, err
	}, nil)
}

// policyInTx returns the version in force, or the zero value if there are no policies.
func policyInTx(tx reader) (n PolicyVersion, err error) {
	return record.ReadIf[PolicyVersion](tx, currentPolicy)
}

// putPolicy stores a new version, and deletes the oldest one.
func putPolicy(tx *keystore.Tx, n PolicyVersion, document []byte) {
	tx.Put(currentPolicy, encode(n))
	tx.Put(policyNumberPath(n.Number), encode(n))
	part := 0
	for text := range slices.Chunk(document, policyPart) {
		tx.Put(policyPartPath(n.Number, part), text)
		part++
	}
	if n.Number <= keptPolicies {
		return
	}
	old := n.Number - keptPolicies
	tx.Delete(policyNumberPath(old))
	for part := 0; tx.Version(policyPartPath(old, part)) != 0; part++ {
		tx.Delete(policyPartPath(old, part))
	}
}

// checkPolicy compiles a document, and returns ErrInvalid if no principal could replace it.
func (c Client) checkPolicy(ctx context.Context, document []byte) error {
	v := c.vault
	if v.cfg.Policies == nil {
		return fmt.Errorf("%w: the vault was opened without Config.Policies, which compiles policies", ErrUnsupported)
	}
	next, err := v.cfg.Policies.Compile(document)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	_, reason := requestInfo(ctx)
	all := append([]Principal{c.principal, v.cfg.Owner}, next.Principals()...)
	slices.Sort(all)
	all = slices.Compact(all)
	ask := func(p Principal, op, approves Operation) Decision {
		d, err := next.Authorize(ctx, Request{Principal: p, Operation: op, Approves: approves, Reason: reason, Time: v.deadline.Now()})
		if err != nil {
			return Decision{}
		}
		return d
	}
	for _, p := range all {
		d := ask(p, OpPutPolicy, "")
		others := slices.DeleteFunc(slices.Clone(all), func(q Principal) bool { return q == p || !ask(q, OpApprove, OpPutPolicy).Allow })
		if d.Allow && len(others) >= d.Approvals {
			return nil
		}
	}
	return invalid("no principal could change these policies again; permit PutPolicy to a principal such as %s, and Approve to as many others as PutPolicy needs approvals of", inputtext.Quote(string(c.principal)))
}

// Policy returns a version of the policies and its document; 0 means the version in force.
// Errors: ErrNotFound, ErrDenied.
func (c Client) Policy(ctx context.Context, number uint64) (PolicyVersion, []byte, error) {
	var n PolicyVersion
	document, err := useVault(ctx, c, request{op: OpReadPolicy}, func(ctx context.Context, d *decision) (document []byte, err error) {
		n, document, err = c.vault.readPolicy(ctx, number)
		d.rec.OutputSize = uint64(len(document))
		return document, err
	}, nil)
	if err != nil {
		return PolicyVersion{}, nil, err
	}
	return n, document, nil
}

// readPolicy reads a version and its document. A version that is replaced for the hundredth
// time meanwhile is ErrNotFound.
func (v *Vault) readPolicy(ctx context.Context, number uint64) (n PolicyVersion, document []byte, err error) {
	path := currentPolicy
	if number != 0 {
		path = policyNumberPath(number)
	}
	if n, err = record.Read[PolicyVersion](storeReader{v.store, ctx}, path); err != nil {
		return n, nil, missing(err, "policies; PutPolicy stores some")
	}
	document, err = policyText(storeReader{v.store, ctx}, n)
	if err != nil {
		return n, nil, missing(err, "this version of the policies")
	}
	return n, document, nil
}

// policyText reads the document of a version.
func policyText(r reader, n PolicyVersion) (document []byte, err error) {
	for part := 0; len(document) < n.Size; part++ {
		text, err := r.Get(policyPartPath(n.Number, part))
		if err != nil {
			return nil, err
		}
		document = append(document, text.Value...)
	}
	return document, nil
}

// PolicyVersions returns the versions of the policies that remain readable, the oldest first.
func (c Client) PolicyVersions(ctx context.Context) ([]PolicyVersion, error) {
	return useVault(ctx, c, request{op: OpReadPolicy}, func(ctx context.Context, _ *decision) (out []PolicyVersion, err error) {
		for _, path := range c.vault.store.Paths(policyNumbers) {
			number, err := strconv.ParseUint(strings.TrimPrefix(path, policyNumbers), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%w: record %s", ErrCorrupt, path)
			}
			n, err := record.Read[PolicyVersion](storeReader{c.vault.store, ctx}, policyNumberPath(number))
			if errors.Is(err, keystore.ErrNotFound) {
				continue // deleted since
			}
			if err != nil {
				return nil, err
			}
			out = append(out, n)
		}
		return out, nil
	}, nil)
}

// ExplainPolicy returns how the policies in force decide a Request and why. It sets the
// fields of the CMK from the CMK that r.Key names by id or alias. Errors: ErrNotFound if no
// policies are stored; ErrInvalid if r.Operation is not one of a principal; ErrDenied.
func (c Client) ExplainPolicy(ctx context.Context, r Request) (Explanation, error) {
	q := request{op: OpExplainPolicy}
	return useVault(ctx, c, q, func(ctx context.Context, _ *decision) (Explanation, error) {
		v := c.vault
		if !r.Operation.grantable() && r.Operation != OpRestoreVault {
			return Explanation{}, invalid("Request.Operation: %.80q is not an operation of a principal, such as Encrypt or CreateKey", r.Operation)
		}
		now, err := v.authorizer(ctx)
		if err != nil {
			return Explanation{}, err
		}
		policies, ok := now.Authorizer.(Policies)
		if !ok {
			return Explanation{}, fmt.Errorf("%w: policies; PutPolicy stores some", ErrNotFound)
		}
		if r.Time.IsZero() {
			r.Time = v.deadline.Now()
		}
		if t, err := v.load(ctx, r.Key); err == nil {
			r.describe(t)
		}
		return policies.Explain(r), nil
	}, nil)
}

// A PolicyEngine compiles the policies that a vault stores; see Client.PutPolicy. Package
// vault/policy is one for the language Cedar.
type PolicyEngine interface {
	// Compile checks a document and returns its policies. The vault wraps its error in
	// ErrInvalid.
	Compile(document []byte) (Policies, error)
}

// Policies are the compiled policies of one document. They must be safe for concurrent use.
// Unlike other Authorizers they must not keep or change the maps and the slice of a Request.
type Policies interface {
	Authorizer
	// Principals returns the principals that the document names.
	Principals() []Principal
	// Explain returns the reasons of the decision on a Request.
	Explain(r Request) Explanation
}

// An Explanation is a decision with its reasons.
type Explanation struct {
	Decision
	// Reasons has one line for each policy that decided, or that would have allowed the
	// request if one of its conditions held.
	Reasons []string
}

// setAuthorizer makes the owner the only principal if the program gives no Authorizer. With
// Policies that holds until policies are stored.
func (c *Config) setAuthorizer() {
	if c.Authorizer == nil {
		c.Authorizer = ownerOnly{c.Owner}
	}
}

// compilePolicies compiles the stored policies. Without any, the Authorizer of Config
// decides.
func (v *Vault) compilePolicies(ctx context.Context) (*authorizerInForce, error) {
	record := v.store.Version(currentPolicy)
	if record == 0 {
		return &authorizerInForce{Authorizer: v.cfg.Authorizer}, nil
	}
	n, document, err := v.readPolicy(ctx, 0)
	if err != nil {
		return nil, err
	}
	policies, err := v.cfg.Policies.Compile(document)
	if err != nil {
		return nil, fmt.Errorf("%w: version %d of the stored policies: %w; open the vault with another Config.Authorizer and put other policies", ErrInvalid, n.Number, err)
	}
	return &authorizerInForce{policies, record}, nil
}

// openPolicies compiles the stored policies. A program that gives neither an Authorizer nor
// an engine for them would otherwise ignore them by mistake.
func (v *Vault) openPolicies(ctx context.Context) error {
	if _, byDefault := v.cfg.Authorizer.(ownerOnly); v.cfg.Policies == nil && byDefault && v.store.Version(currentPolicy) != 0 {
		return invalid("the vault has policies; set Config.Policies to their engine, such as policy.Cedar of package vault/policy, or Config.Authorizer to ignore them")
	}
	_, err := v.authorizer(ctx)
	return err
}

// DryRun reports whether the client may perform an operation now: it returns nil, or the
// error that the operation would return because of the policies, the client's grants, the
// CMK's usage, origin and state, and a Limiter that is a LimitForecaster. It uses no key,
// counts no use of a grant, and checks no argument but these. key is "" for an operation on
// the whole vault. The record has the operation DryRun, and the tried operation in its details;
// because there is a record, Config.Limiter limits dry runs as an operation of their own. An
// approval with a subject that depends on arguments, such as the days of a deletion, does not
// count in a dry run.
//
// A decision can change before the operation is done. Errors: ErrInvalid for an unknown
// operation or an invalid context; ErrDenied, ErrNotFound, ErrUsage, ErrKeyState,
// ErrUnsupported and ErrThrottled like those of the operation.
func (c Client) DryRun(ctx context.Context, op Operation, key string, ec EncryptionContext) error {
	q, err := tried(op, key, ec)
	if err != nil {
		return c.argumentError(ctx, request{op: OpDryRun}, err)
	}
	return wrap(OpDryRun, key, c.dryRun(ctx, q))
}

// tried returns the request of an operation that is tried.
func tried(op Operation, key string, ec EncryptionContext) (request, error) {
	if !op.grantable() {
		return request{}, invalid("%.80q is not an operation of a principal", op)
	}
	bound, err := ec.snapshot()
	_, onKey := stateTable[op]
	return request{op: op, key: key, onVault: !onKey, context: bound}, err
}

// dryRun decides on q and records the decision.
func (c Client) dryRun(ctx context.Context, q request) error {
	v, err := c.begin(ctx, request{op: OpDryRun, key: q.key})
	if err != nil {
		return err
	}
	defer v.leave()
	t, _, missing := v.targetOf(ctx, q)
	d := c.newDecision(ctx, q, t)
	d.rec.Operation, d.rec.Detail = string(OpDryRun), map[string]string{"operation": string(q.op)}
	if err := c.permit(ctx, q, t, d); err != nil {
		return cmp.Or(v.refuse(ctx, d.rec, err), err)
	}
	dry := &decision{client: v.As(c.principal), q: request{op: OpDryRun, key: q.key, approves: q.op, onVault: true}, rec: d.rec, needsNoPermission: true}
	if err := dry.limit(ctx); err != nil {
		return err
	}
	if missing == nil {
		missing = d.forecast()
	}
	if missing != nil {
		return dry.fail(ctx, missing)
	}
	return dry.commit(ctx, commitPlan{check: unchanged})
}

// A DryRunResult says how an operation of another principal would be decided.
type DryRunResult struct {
	// Allowed reports whether the Authorizer allows the operation, and Rule is the rule that
	// decided.
	Allowed bool
	Rule    string
	// Err is the error that the operation would return, as for DryRun; nil if there is none.
	Err error
}

// DryRunFor is like DryRun for an operation of another principal, whose grants it does not
// consider. The reason is that of ctx. It is an operation of its own: the Authorizer is asked
// for DryRunFor on the CMK, with the principal as Request.Subject and the tried operation as
// Request.Approves. The record has the operation DryRunFor and the result. Errors: ErrInvalid
// for an invalid principal, operation or context; ErrDenied.
func (c Client) DryRunFor(ctx context.Context, p Principal, op Operation, key string, ec EncryptionContext) (DryRunResult, error) {
	try, err := tried(op, key, ec)
	if fault := p.fault(); err == nil && (fault != "" || p == "") {
		err = invalid("the principal asked about: %s", cmp.Or(fault, "it is empty"))
	}
	if err != nil {
		return DryRunResult{}, c.argumentError(ctx, request{op: OpDryRunFor, onVault: true}, err)
	}
	q := request{op: OpDryRunFor, onVault: true, key: key, approves: op, subject: string(p)}
	var missing error
	if (key != "" || !try.onVault) && c.vault != nil && ctx != nil && c.vault.enter() == nil {
		q.approved, missing = c.vault.load(ctx, key)
		c.vault.leave()
	}
	return operate(ctx, c, q, func(ctx context.Context, d *decision) (DryRunResult, error) {
		d.nested = true
		other, t := c.vault.As(p), q.approved
		if try.onVault {
			t = nil
		}
		would := other.newDecision(ctx, try, t)
		err := cmp.Or(other.permit(ctx, try, t, would), missing, would.forecast())
		d.rec.Detail = map[string]string{"operation": string(op), "principal": inputtext.Quote(string(p)), "decision": would.rec.Decision}
		out := DryRunResult{would.rec.Decision == "ALLOW", would.rec.Rule, wrap(op, key, err)}
		return out, d.commit(ctx, commitPlan{check: unchanged})
	}, nil)
}
