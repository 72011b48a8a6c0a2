package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/suite"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/inputtext"
	"strongroom.example/vault/internal/record"
)

// An Approval is a principal's consent to one operation that another principal is to do, if
// the Authorizer demands approvals of it; see Decision.Approvals.
type Approval struct {
	Operation Operation `json:"operation"`
	// Key is the CMK, by id or alias; empty for an operation on the whole vault.
	Key string `json:"key,omitempty"`
	// Subject is the object of the operation beside the CMK. Without it the approval does not
	// count for an operation that has a subject, unless Decision.AnySubject is set. The error
	// of an operation that lacks approvals has its subject. It is, in words with a space
	// between them:
	//
	//   - RemoveProtector: the id of the protector; PutPolicy: the digest of the document (see
	//     PolicyDigest); WithdrawApproval: the id of the approval
	//   - an operation on a named data key, whose CMK is Key: the id of the data key
	//   - ScheduleKeyDeletion: the number of days; ScheduleDataKeyDeletion: the id and the days
	//   - CreateKey: the driver, and the alias if it has one; MoveKey: the driver
	//   - SetAlias, also by AddAlias and MoveAlias: the new alias; SetDataKeyName: the id and the new name
	//   - CreateDataKey, ImportDataKey and ImportDataKeyCiphertext: the name
	//   - SetMinimumVersion and TrimKeyVersion: the number of the version
	//   - BindResource and UnbindResource: the resource
	//   - DecryptTo and GenerateDataKeyTo: the fingerprint of the recipient; OpenNamedDataKeyTo:
	//     the id and the fingerprint
	Subject string `json:"subject,omitempty"`
}

// storedApproval is an approval that was given.
type storedApproval struct {
	Approval
	Principal Principal `json:"principal"`
	Time      time.Time `json:"time"`
}

// approvalNeed is the number of approvals that a decision demands.
type approvalNeed struct {
	Approval
	count  int
	within time.Duration
	// anySubject: approvals without a subject count too.
	anySubject bool
}

// approvalSubject returns the Approval.Subject of a request. number is request.number.
func approvalSubject(r Request, number int64) string {
	words := []string{r.Subject}
	switch r.Operation {
	case OpScheduleKeyDeletion, OpScheduleDataKeyDeletion, OpSetMinimumVersion, OpTrimKeyVersion:
		words = append(words, strconv.FormatInt(number, 10))
	case OpCreateKey:
		words = append(words, r.Driver, r.NewAlias)
	case OpMoveKey:
		words = append(words, r.Driver)
	case OpSetAlias, OpSetDataKeyName, OpCreateDataKey, OpImportDataKey, OpImportDataKeyCiphertext:
		words = append(words, r.NewAlias)
	case OpBindResource, OpUnbindResource:
		words = append(words, r.Resource)
	case OpDecryptTo, OpGenerateDataKeyTo, OpOpenNamedDataKeyTo:
		words = append(words, r.Recipient)
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// paths returns the paths of the approvals that may count.
func (n approvalNeed) paths(r reader, id suite.ID) []string {
	all := r.Paths(n.prefix(id))
	if n.anySubject && n.Subject != "" {
		n.Subject = ""
		all = append(all, r.Paths(n.prefix(id))...)
	}
	return all
}

const (
	approvals = "approval/"
	// maxApprovals is the maximum number of approvals in a vault, and maxApprovalsEach that of
	// one principal, so that none keeps the others from approving.
	maxApprovals     = 1024
	maxApprovalsEach = 128
	// approvalsWithin is the default of Decision.Within, and maxWithin its maximum.
	approvalsWithin = time.Hour
	maxWithin       = 7 * day
	// maxSubject is the maximum length of a subject in bytes, which a driver and an alias have.
	maxSubject = 512
)

// prefix returns the beginning of the paths of the approvals of one operation.
func (a Approval) prefix(id suite.ID) string {
	sum := id.Hash([]byte(string(a.Operation) + "\x00" + a.Key + "\x00" + a.Subject))
	return approvals + hex.EncodeToString(sum[:16]) + "/"
}

// path returns the path of the approval by a principal.
func (a Approval) path(id suite.ID, p Principal) string {
	return a.prefix(id) + approverPart(id, p)
}

// approverPart returns the part of an approval's path that names the principal.
func approverPart(id suite.ID, p Principal) string {
	sum := id.Hash([]byte(p))
	return hex.EncodeToString(sum[:16])
}

// PolicyDigest returns the digest of a document, which an Approval of PutPolicy names.
func (v *Vault) PolicyDigest(document []byte) string {
	sum := v.suite.Hash(document)
	return hex.EncodeToString(sum[:])
}

// Approve stores the principal's approval of one operation. The operation uses it up, and it
// ends after Decision.Within, or seven days. A second approval by the same principal
// replaces the first. WithdrawApproval withdraws it. Approving is an operation of its own,
// and the Authorizer sees the approved operation in Request.Approves. Errors: ErrInvalid for
// an operation that no principal does, and for a subject of more than 512 bytes;
// ErrNotFound; ErrTooLarge for more than 128 approvals by the principal or 1024 in the
// vault; ErrDenied.
func (c Client) Approve(ctx context.Context, a Approval) error {
	q := request{op: OpApprove, onVault: true, key: a.Key, approves: a.Operation, subject: a.Subject}
	if !a.Operation.grantable() && a.Operation != OpRestoreVault || a.Operation == OpApprove || len(a.Subject) > maxSubject {
		return c.argumentError(ctx, q, invalid("an approval of %.80q with a subject of %d bytes", a.Operation, len(a.Subject)))
	}
	var missing error
	if a.Key != "" && c.vault != nil && ctx != nil && c.vault.enter() == nil {
		var t *target
		if t, missing = c.vault.load(ctx, a.Key); missing == nil {
			a.Key, q.approved = t.ID, t
		}
		c.vault.leave()
	}
	restored := false
	err := c.do(ctx, q, func(ctx context.Context, d *decision) error {
		if missing != nil {
			return d.fail(ctx, missing)
		}
		v := c.vault
		v.settingTime.RLock() // so that no approval of the time before SetTimeBack comes after it
		defer v.settingTime.RUnlock()
		now := storedApproval{a, c.principal, v.deadline.Now().UTC()}
		ended := v.endedApprovals(ctx)
		d.rec.Detail = now.detail("approves")
		return d.commit(ctx, commitPlan{check: unchanged, change: func(tx *keystore.Tx) (err error) {
			for path, version := range ended {
				if tx.Version(path) == version { // not given again since
					tx.Delete(path)
				}
			}
			path := a.path(v.suite, c.principal)
			if err := roomForApproval(tx, path); err != nil {
				return err
			}
			tx.Put(path, encode(now))
			if a.Operation == OpRestoreVault {
				restored, err = v.approveRestore(tx, now)
			}
			return err
		}})
	})
	if err == nil && restored {
		c.vault.restoring.Store(false)
	}
	return err
}

// roomForApproval returns ErrTooLarge if there is no room for another approval at path. One that
// replaces another needs none.
func roomForApproval(tx *keystore.Tx, path string) error {
	if tx.Version(path) != 0 {
		return nil
	}
	all, mine, by := tx.Paths(approvals), 0, path[strings.LastIndexByte(path, '/'):]
	for _, one := range all {
		if strings.HasSuffix(one, by) {
			mine++
		}
	}
	switch {
	case mine >= maxApprovalsEach:
		return fmt.Errorf("%w: the principal has %d approvals, which end after %v; WithdrawApproval withdraws one", ErrTooLarge, mine, maxWithin)
	case len(all) >= maxApprovals:
		return fmt.Errorf("%w: the vault has %d approvals, which end after %v; WithdrawApproval withdraws one", ErrTooLarge, len(all), maxWithin)
	}
	return nil
}

// detail returns the detail of the record of an operation on an approval. The name of the
// approved operation is under the given key.
func (a storedApproval) detail(operation string) map[string]string {
	out := map[string]string{operation: string(a.Operation)}
	if a.Subject != "" {
		out["subject"] = inputtext.Quote(a.Subject)
	}
	return out
}

// endedApprovals returns the paths of the approvals that are older than maxWithin by the
// confirmed time, with the versions of their records.
func (v *Vault) endedApprovals(ctx context.Context) map[string]uint64 {
	ended, r := map[string]uint64{}, storeReader{v.store, ctx}
	for _, path := range r.Paths(approvals) {
		version := r.Version(path)
		if a, err := approvalAt(r, path); err == nil && v.confirmedNow().Sub(a.Time) > maxWithin {
			ended[path] = version
		}
	}
	return ended
}

func approvalAt(r reader, path string) (storedApproval, error) {
	return record.Read[storedApproval](r, path)
}

// approvers returns the principals other than by whose approvals count now, and the paths of
// all approvals of the operation.
func (v *Vault) approvers(r reader, need approvalNeed, by Principal) (who []string, paths []string, err error) {
	last, err := restorationIn(r)
	if err != nil {
		return nil, nil, err
	}
	for _, path := range need.paths(r, v.suite) {
		a, err := approvalAt(r, path)
		if errors.Is(err, keystore.ErrNotFound) {
			continue // used by another operation since
		}
		if err != nil {
			return nil, nil, err
		}
		paths = append(paths, path)
		age := v.deadline.Now().Sub(a.Time) // negative if the clock was ahead then
		if a.Principal != by && !a.Time.Before(last.Time) && age >= 0 && age <= need.within {
			who = append(who, string(a.Principal))
		}
	}
	slices.Sort(who)
	return slices.Compact(who), paths, nil
}

// window returns the time within which approvals count.
func window(within time.Duration) time.Duration {
	if within <= 0 {
		return approvalsWithin
	}
	return min(within, maxWithin)
}

// demandApprovals checks that an allowed request has the approvals that the decision demands. An
// outcome uses none up, so that a demand that the intent did not meet makes the vault repeat the
// operation.
func (c Client) demandApprovals(ctx context.Context, ask Request, by Decision, d *decision) error {
	need := approvalNeed{Approval{ask.Operation, ask.Key, approvalSubject(ask, d.q.number)}, by.Approvals, window(by.Within), by.AnySubject}
	if d.q.counted.covers(need) {
		return nil // they were used up with the intent, or by an earlier attempt or part of the call
	}
	if d.rec.Phase == audit.Outcome {
		return fmt.Errorf("%w: %s needs approvals that it did not need at its intent", ErrApproval, ask.Operation)
	}
	who, _, err := c.vault.approvers(storeReader{c.vault.store, ctx}, need, c.principal)
	if err != nil {
		return err
	}
	if len(who) < need.count {
		return fmt.Errorf("%w: %s with the subject %q needs the approvals of %d other principals within %v, and has %d", ErrApproval, ask.Operation, need.Subject, need.count, need.within, len(who))
	}
	d.needs = append(d.needs, need)
	d.rec.Rule = cut(d.rec.Rule+" approved by "+strings.Join(who, ", "), 256)
	return nil
}

// covers reports whether the call used up the approvals that a decision demands.
func (c callCounts) covers(need approvalNeed) bool {
	return slices.ContainsFunc(c.approvals, need.satisfiedBy)
}

// satisfiedBy reports whether the approvals that were used up for an earlier decision satisfy n. They
// do not if n demands more of them, or accepts fewer: within a shorter time, or only for its subject.
func (n approvalNeed) satisfiedBy(used approvalNeed) bool {
	return n.Approval == used.Approval && n.count <= used.count && n.within >= used.within && (n.anySubject || !used.anySubject || n.Subject == "")
}

// usedApprovals returns the paths of the approvals that an operation uses up if it succeeds. It
// returns errConflict if they no longer suffice.
func (d *decision) usedApprovals(tx reader) (used []string, err error) {
	if !d.isUse() || d.keepsApprovals {
		return nil, nil
	}
	for _, need := range d.needs {
		who, paths, err := d.client.vault.approvers(tx, need, d.client.principal)
		if err != nil {
			return nil, err
		}
		if len(who) < need.count {
			return nil, errConflict
		}
		used = append(used, paths...)
	}
	return used, nil
}

// A PendingApproval is an approval that was given, and that no operation has used up yet.
type PendingApproval struct {
	Approval
	// ID names the approval for WithdrawApproval.
	ID        string    `json:"id"`
	Principal Principal `json:"principal"`
	Time      time.Time `json:"time"`
	// Until is the time at which the approval ends at the latest. Decision.Within may let it
	// end before that.
	Until time.Time `json:"until"`
}

// ListApprovals returns the approvals of all principals that are not used up and have not
// ended, in the order of their ids.
func (c Client) ListApprovals(ctx context.Context) ([]PendingApproval, error) {
	return useVault(ctx, c, request{op: OpListApprovals}, func(ctx context.Context, _ *decision) (out []PendingApproval, err error) {
		v, from := c.vault, storeReader{c.vault.store, ctx}
		last, err := restorationIn(from)
		if err != nil {
			return nil, err
		}
		for _, path := range from.Paths(approvals) {
			a, err := approvalAt(from, path)
			if errors.Is(err, keystore.ErrNotFound) {
				continue // used up or withdrawn since
			}
			if err != nil {
				return nil, err
			}
			until := last.ends(a)
			if now := v.deadline.Now(); a.Time.After(now) || a.Time.Before(last.Time) || now.After(until) {
				continue // it does not count
			}
			out = append(out, PendingApproval{a.Approval, strings.TrimPrefix(path, approvals), a.Principal, a.Time, until})
		}
		return out, nil
	}, nil)
}

// ends returns the time at which an approval ends at the latest.
func (p restoration) ends(a storedApproval) time.Time {
	end := a.Time.Add(maxWithin)
	if restored := p.Time.Add(p.Within); a.Operation == OpRestoreVault && restored.Before(end) {
		return restored
	}
	return end
}

// WithdrawApproval withdraws an approval, which PendingApproval.ID names. No operation that is
// recorded after it returned has used the approval. A principal may withdraw its own
// approvals; those of others need a second permission, for PutPolicy, with the id as
// Request.Subject. Errors: ErrNotFound for an approval that was used up or withdrawn;
// ErrDenied.
func (c Client) WithdrawApproval(ctx context.Context, id string) error {
	q := request{op: OpWithdrawApproval, onVault: true}
	if len(id) > len(approvals)+2*32 {
		return c.argumentError(ctx, q, invalid("the id of an approval has %d bytes", len(id)))
	}
	q.subject = id
	return c.do(ctx, q, func(ctx context.Context, d *decision) error {
		path := approvals + id
		return d.commit(ctx, commitPlan{check: unchanged, change: func(tx *keystore.Tx) error {
			a, err := approvalAt(tx, path)
			if errors.Is(err, keystore.ErrNotFound) {
				return fmt.Errorf("%w: approval %.80q", ErrNotFound, id)
			}
			if err != nil {
				return err
			}
			tx.Delete(path)
			d.rec.Key, d.rec.Detail = a.Key, a.detail("approved")
			d.rec.Detail["approver"] = string(a.Principal)
			return nil
		}})
	})
}

// ownApproval reports whether the id of an approval is one of a principal, whether it exists
// or not.
func ownApproval(id string, s suite.ID, p Principal) bool {
	return strings.HasSuffix(id, "/"+approverPart(s, p))
}

// permitWithdrawal asks for the permission to change the policies, if an approval is that of
// another principal. The record keeps the rule that allowed WithdrawApproval, unless this
// request is denied.
func (c Client) permitWithdrawal(ctx context.Context, ask Request, d *decision) error {
	if ownApproval(ask.Subject, c.vault.suite, c.principal) {
		return nil
	}
	rule := d.rec.Rule
	ask.Operation = OpPutPolicy
	if err := c.authorize(ctx, ask, d); err != nil {
		return fmt.Errorf("%w; withdrawing an approval of another principal needs this permission", err)
	}
	d.rec.Rule = rule
	return nil
}
