package vault

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"strongroom.example/audit"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/usecount"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/datakeyrecords"
	"strongroom.example/vault/internal/keyid"
	"strongroom.example/vault/internal/record"
)

// errConflict reports that the key changed after the decision and before the record was
// durable.
var errConflict = errors.New("the key was changed by a concurrent operation")

// errMetadataChanged reports that only its aliases, its tags, the driver of its primary version or
// the policies changed. The operation's result remains valid, but the Authorizer, which decides on
// all of these, is asked again.
var errMetadataChanged = fmt.Errorf("%w: its aliases, its tags, its driver or the policies", errConflict)

// commitPlan says what is committed with the record of an operation.
type commitPlan struct {
	// check compares the CMK at commit with the CMK that was decided on.
	check commitCheck
	// change, if set, changes the store in the same batch as the record.
	change func(*keystore.Tx) error
	// commit, if set, is used instead of the store's Commit. An error of its operation must
	// change nothing.
	commit func(context.Context, func(*keystore.Tx) error) error
	// also, if set, is a second decision that the operation depends on. Its record is
	// committed together with the first, and its CMK must be unchanged.
	also *decision
}

// A commitCheck returns an error if a decision on the CMK as it was then is not valid for
// the CMK as it is now. It is not called if the CMK's record is the same. The aliases, the
// tags and the driver are compared apart from it. Other fields may change, so that a new
// description does not delay the users of the CMK.
type commitCheck func(op Operation, now, then *target) error

// unchanged is the check of an operation that uses the CMK: its state, primary and minimum
// version, driver and expiry are the same.
func unchanged(_ Operation, now, then *target) error {
	if now.ID != then.ID || now.State != then.State || now.Version != then.Version || now.Driver != then.Driver || !now.ValidTo.Equal(then.ValidTo) || now.MinVersion != then.MinVersion {
		return errConflict
	}
	return nil
}

// stateAllows is the check of an operation that changes the present record of the CMK.
func stateAllows(op Operation, now, _ *target) error {
	if !now.State.allows(op) {
		return errConflict
	}
	return nil
}

// outcomeAllowed is the check of the outcome of an operation that worked with a device
// since its first commit.
func outcomeAllowed(op Operation, now, then *target) error {
	switch {
	case now.expired && !then.expired:
		return errConflict // the material is gone, so the result of the operation no longer matters
	case !now.State.allows(op):
		return now.State.refuse(op, then.ID)
	}
	return nil
}

// sameRecord is the check of an operation that did not find something, which may have been
// moved or deleted in between.
func sameRecord(Operation, *target, *target) error { return errConflict }

// valid returns nil if the decision is still valid at commit; see ignoreNaming and
// needsNoPermission for what it does not compare.
func (d *decision) valid(tx reader, check commitCheck) error {
	v := d.client.vault
	if v.cfg.Policies != nil && !d.needsNoPermission && tx.Version(currentPolicy) != d.policy {
		if d.nested {
			return errConflict
		}
		return errMetadataChanged
	}
	if d.t != nil && d.t.data != nil && tx.Version(datakeyrecords.Path(d.t.data.ID)) != d.t.data.recordVersion {
		return errConflict
	}
	if d.t == nil || tx.Version(keyPath(d.t.ID)) == d.t.recordVersion && !v.hasExpired(d.t) {
		return nil
	}
	now, err := v.viewInTx(tx, d.t.ID)
	if errors.Is(err, keystore.ErrNotFound) {
		return errConflict // the creation was rolled back
	}
	if err == nil {
		err = check(d.q.op, now, d.t)
	}
	if err == nil && !d.ignoreNaming && !d.needsNoPermission && !(now.Alias == d.t.Alias && slices.Equal(now.OtherAliases, d.t.OtherAliases) && now.Driver == d.t.Driver && maps.Equal(now.Tags, d.t.Tags)) {
		return errMetadataChanged
	}
	return err
}

// commitIf commits op if the decisions are still valid. If not, it waits for the end of its
// commit group before it returns errConflict: only then is the change that caused the
// conflict durable, and the next attempt sees it. Without this wait the next attempt would
// join the same group and fail again. p.commit gets the conflict as an error at once, because it may
// replace the root file or cut the log although its operation changes nothing.
func (d *decision) commitIf(ctx context.Context, p commitPlan, op func(*keystore.Tx) error) error {
	commit := p.commit
	if commit == nil {
		commit = d.client.vault.store.Commit
		if Operation(d.rec.Operation).usesReserve() {
			commit = d.client.vault.store.CommitInReserve
		}
	}
	var conflict error
	err := commit(ctx, func(tx *keystore.Tx) error {
		conflict = d.valid(tx, p.check)
		if conflict == nil && p.also != nil {
			conflict = p.also.valid(tx, unchanged)
		}
		var use func(*keystore.Tx)
		if conflict == nil {
			use, conflict = d.claim(tx, p.also)
		}
		if conflict == nil {
			use(tx)
			return op(tx)
		}
		if errors.Is(conflict, errConflict) && p.commit == nil {
			return nil // commits no change
		}
		return conflict
	})
	if err = cmp.Or(err, conflict); err == nil {
		d.markCounted()
	}
	return err
}

// isUse reports whether the commit of the record uses up approvals, and uses of grants.
func (d *decision) isUse() bool { return d.rec.Result == audit.OK && d.rec.Phase != audit.Outcome }

// markCounted notes what a commit counted, so that a repetition does not count it again.
func (d *decision) markCounted() {
	if !d.isUse() {
		return
	}
	d.q.counted.use = true
	if !d.keepsApprovals {
		d.q.counted.approvals = append(d.q.counted.approvals, d.needs...)
	}
}

// claim returns a function that counts the use of the client's grants, and uses up the
// approvals of d and of also. It returns errConflict if they no longer suffice. It changes
// nothing itself, because the operation may still fail.
func (d *decision) claim(tx reader, also *decision) (use func(*keystore.Tx), err error) {
	var counts map[string]uint64
	var used []string
	if d.client.grant != "" {
		if counts, err = d.countUses(tx); err != nil {
			return nil, err
		}
	}
	for _, one := range []*decision{d, also} {
		if one == nil || len(one.needs) == 0 {
			continue
		}
		some, err := one.usedApprovals(tx)
		if err != nil {
			return nil, err
		}
		used = append(used, some...)
	}
	return func(tx *keystore.Tx) {
		for path, n := range counts {
			tx.Put(path, record.EncodeCount(n))
		}
		for _, path := range used {
			tx.Delete(path)
		}
	}, nil
}

// tryCommit makes the records and the changes durable, if the Authorizer's decisions are
// still valid. It returns errConflict if the CMK changed since. After errMetadataChanged it
// asks the Authorizer again and commits again, at most maxReauthorize times. The last time only
// the policies can have changed; tryCommit then returns errMetadataChanged, so that the operation
// is attempted again, up to maxAttempts attempts. byChange reports that the error is that of p.change,
// and not one of the store.
func (d *decision) tryCommit(ctx context.Context, p commitPlan) (byChange bool, err error) {
	for n := 1; ; n++ {
		err = d.commitIf(ctx, p, func(tx *keystore.Tx) error {
			if byChange = false; p.change != nil {
				if err := p.change(tx); err != nil {
					byChange = true
					return err
				}
			}
			d.client.vault.appendAudit(tx, d.rec)
			if p.also != nil {
				d.client.vault.appendAudit(tx, p.also.rec)
			}
			return nil
		})
		if !errors.Is(err, errMetadataChanged) || n > maxReauthorize {
			break
		}
		d.ignoreNaming = d.ignoreNaming || n == maxReauthorize
		if err = d.decideAgain(ctx, p); err != nil {
			return false, err
		}
	}
	for _, one := range []*decision{d, p.also} {
		if err == nil && one != nil && one.t != nil && one.t.Rotation.Uses > 0 {
			one.rotateIfUsedUp()
		}
	}
	if err == nil || byChange || errors.Is(err, errConflict) {
		return byChange, err
	}
	return false, translateOr(err, ErrAuditUnavailable)
}

// commit makes the record and the changes durable, or records why not. It returns
// errConflict if the operation must be repeated.
func (d *decision) commit(ctx context.Context, p commitPlan) error {
	byChange, err := d.tryCommit(ctx, p)
	switch {
	case err == nil:
	case byChange || recordable(ctx, err):
		return d.fail(ctx, err)
	case !errors.Is(err, errConflict):
		d.countFailed(err) // its record could not be written
	}
	return err
}

// commitLate is commit for an operation that took long: it asks the Authorizer once more
// right before the commit, because the permission may have been withdrawn since.
func (d *decision) commitLate(ctx context.Context, p commitPlan) error {
	if err := d.decideAgain(ctx, p); err != nil {
		return err
	}
	return d.commit(ctx, p)
}

// recordable reports whether the failure of a commit can itself be recorded. That is so if
// the caller's context ended before the commit began, or if the commit was too large; the
// log still works then, and the key was used.
func recordable(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil && errors.Is(err, ctx.Err()) || errors.Is(err, ErrTooLarge))
}

// fail records an operation that was allowed but failed, or counts it if the principal's
// record limit for such failures is reached. It returns cause, or the error that kept it
// from being recorded, or errConflict if the CMK changed since it was loaded: the cause may
// be the state that the CMK no longer has.
func (d *decision) fail(ctx context.Context, cause error) error {
	if errors.Is(cause, errConflict) {
		return cause
	}
	cause = translate(cause)
	failed, check := *d, unchanged
	failed.rec.Result, failed.rec.Error, failed.rec.OutputSize = audit.Failed, errorName(cause), 0
	failed.needsNoPermission = true
	if errors.Is(cause, ErrNotFound) {
		check = sameRecord
	}
	return cmp.Or(failed.recordFailure(context.WithoutCancel(ctx), check), cause)
}

// failConflict records an operation that met a conflict in every attempt, because the key
// may have been used.
func (d *decision) failConflict(ctx context.Context) error {
	err := fmt.Errorf("%w: concurrent changes of the key; try again later", ErrThrottled)
	if d.recorded {
		return err
	}
	d.t = nil
	return d.fail(ctx, err)
}

// refuse records or counts a refusal. It returns an error if the refusal could not be
// recorded. A change of the key does not matter here, because a denied caller must not
// learn whether the key exists.
func (v *Vault) refuse(ctx context.Context, r audit.Record, cause error) error {
	r.Result, r.Error = audit.Refused, errorName(cause)
	d := &decision{client: v.As(Principal(r.Principal)), rec: r, needsNoPermission: true}
	return d.recordFailure(context.WithoutCancel(ctx), unchanged)
}

// recordFailure commits the record of d, or counts it. It checks that the decision is still
// valid even when it only counts; otherwise a caller who fails often would get an error for
// a state that the CMK no longer has.
func (d *decision) recordFailure(ctx context.Context, check commitCheck) error {
	v := d.client.vault
	if d.rec.Phase == audit.Single && !v.failures.Admit(d.rec, v.confirmedNow()) {
		if err := d.valid(storeReader{v.store, ctx}, check); err != nil {
			return err
		}
		v.failures.Count(d.rec, 1, v.confirmedNow())
		return nil
	}
	_, err := d.tryCommit(ctx, commitPlan{check: check})
	if err != nil && !errors.Is(err, errConflict) {
		v.failures.Count(d.rec, 1, v.confirmedNow()) // written as soon as the log works again
	}
	return err
}

// record returns the audit record of a successful operation. The caller changes Result if
// the operation fails.
func (v *Vault) record(op Operation, p Principal) audit.Record {
	return audit.Record{Principal: string(p), Operation: string(op), Phase: audit.Single, Result: audit.OK}
}

// ownDecision returns the decision of the vault on an operation that it does by itself, on t if it
// is not nil. No Authorizer is asked.
func (v *Vault) ownDecision(q request, t *target) *decision {
	return &decision{client: v.As(principalVault), q: q, t: t, rec: v.record(q.op, principalVault), needsNoPermission: true}
}

// note adds a detail to the record of the operation.
func (d *decision) note(name, value string) { noteIn(&d.rec, name, value) }

// noteIn adds a detail to a record, whose copies have the same map.
func noteIn(r *audit.Record, name, value string) {
	detail := maps.Clone(r.Detail)
	if detail == nil {
		detail = map[string]string{}
	}
	detail[name] = value
	r.Detail = detail
}

// appendAudit appends r to the log in tx. Its sequence number and time are set when the
// operation is staged for its commit, so that both have the same order.
func (v *Vault) appendAudit(tx *keystore.Tx, r audit.Record) {
	var seq uint64
	v.appendAuditSeq(tx, r, &seq)
}

// appendAuditSeq is appendAudit, and stores the record's sequence number in given. The number
// is valid once the batch is durable, because an operation that is staged again gets another one.
// The use of a key version is counted then, before the commit returns.
func (v *Vault) appendAuditSeq(tx *keystore.Tx, r audit.Record, given *uint64) {
	if use, kind, ok := useOf(&r); ok {
		// This function runs after the one passed to Log, which sets r.Seq and r.Time.
		tx.OnDurable(func() { v.uses.Add(r.Seq, use, kind, r.Time) })
	}
	tx.Log(func(seq uint64) []byte {
		*given = seq
		boot := clock.BootOf(v.clock)
		r.Seq, r.Time = seq, v.clock.Now().UTC()
		r.BootID, r.Uptime = hex.EncodeToString(boot.ID[:]), boot.Since
		return r.Append(nil)
	})
}

// countedAs lists the operations that are counted. The others do not use a version's
// material or its public half on a caller's data.
var countedAs = map[Operation]usecount.Kind{
	OpEncrypt:                         usecount.Protect,
	OpReEncryptTo:                     usecount.Protect,
	OpGenerateDataKey:                 usecount.Protect,
	OpGenerateDataKeyWithoutPlaintext: usecount.Protect,
	OpGenerateDataKeyTo:               usecount.Protect,
	OpAsymmetricEncrypt:               usecount.Protect,
	OpCreateDataKey:                   usecount.Protect,
	OpImportDataKey:                   usecount.Protect,
	OpSign:                            usecount.Protect,
	OpGenerateMac:                     usecount.Protect,
	OpDecrypt:                         usecount.Process,
	OpDecryptTo:                       usecount.Process,
	OpReEncryptFrom:                   usecount.Process,
	OpOpenDataKey:                     usecount.Process,
	OpOpenNamedDataKey:                usecount.Process,
	OpOpenNamedDataKeyTo:              usecount.Process,
	OpImportDataKeyCiphertext:         usecount.Process,
	OpAsymmetricDecrypt:               usecount.Process,
	OpVerify:                          usecount.Process,
	OpVerifyMac:                       usecount.Process,

	OpGenerateDataKeyPair:                 usecount.Protect,
	OpGenerateDataKeyPairWithoutPlaintext: usecount.Protect,
}

// useOf returns the version that a record is a use of, and the kind of use. It returns false
// for other records.
func useOf(r *audit.Record) (v usecount.Version, kind usecount.Kind, ok bool) {
	if r.Result != audit.OK || r.Phase != audit.Single || r.KeyVersion == 0 {
		return v, 0, false
	}
	if kind, ok = countedAs[Operation(r.Operation)]; !ok {
		return v, 0, false
	}
	v.Number = r.KeyVersion
	v.Key, ok = keyid.Parse(r.Key)
	return v, kind, ok
}

// contextHash returns a keyed hash of an encryption context. The audit log can be searched
// for a context, but does not reveal it.
func (v *Vault) contextHash(c boundContext) []byte {
	h := v.suite.MAC(v.secrets.ContextHash(), c.canonical)
	return h[:]
}
