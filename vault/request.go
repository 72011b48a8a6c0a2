package vault

import (
	"context"
	"time"

	"strongroom.example/audit"
	"strongroom.example/keystore"
)

// request describes one operation to the pipeline.
type request struct {
	op      Operation
	key     string // the CMK's id or alias
	version uint32 // the CMK's version; 0 is the primary
	context boundContext
	size    int    // length of the input in bytes
	alias   string // the requested alias; see Request
	tags    map[string]string
	driver  string
	validTo time.Time // expiry of imported material
	lenient bool      // see entry
}

// name returns what the caller gave for the CMK, either as id or as alias.
func (q request) name() (id, alias string) {
	if _, ok := parseKeyID(q.key); ok {
		return q.key, ""
	}
	return "", q.key
}

// target is the CMK that an operation acts on, as it was when it was loaded.
type target struct {
	Key
	record uint64 // version number of the stored record
	// expired reports that the material had expired when the CMK was loaded.
	expired bool
}

// entry holds what an operation commits: its audit record and its changes.
type entry struct {
	rec audit.Record
	// change alters the store in the same batch as the record.
	change func(*keystore.Tx) error
	// commit is used instead of the store's Commit.
	commit func(context.Context, func(*keystore.Tx) error) error
	// refusal is the error of change, if that error ended the commit.
	refusal error
	// also is a second decision that the operation depends on. Its record is committed
	// together with rec, and both keys must be unchanged.
	also *decided
	// detached: change reads the key's record itself and accepts one that was altered.
	detached bool
	// outcome: the operation works with a device between its first commit and its last. The
	// last commit therefore requires only that the key's state still allows the operation.
	outcome bool
	// askAgain: the Authorizer is asked once more right before the commit, because the
	// operation takes long and the permission may have been withdrawn since.
	askAgain bool
	// alters: change alters the current record of the key, if the key's state allows that.
	alters bool
	// lenient: the Authorizer was asked often enough; a later change of alias or tags is
	// ignored.
	lenient bool
	// exact: any change of the key's record makes the decision stale, because the operation
	// did not find something that may have been moved or deleted in between.
	exact bool
	// undo reverts the operation's effect on the device if the commit failed.
	undo func(error) error
	// settled: the failure has been recorded already.
	settled bool
}

// decided is a request that was decided.
type decided struct {
	q request
	t *target
	e *entry
}

// describe writes into the record what is known before the decision.
func (v *Vault) describe(r *audit.Record, q request, t *target) {
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
	if q.alias != "" && r.Detail == nil {
		r.Detail = map[string]string{"alias": q.alias}
	}
	if len(q.context.pairs) > 0 {
		r.ContextHash = v.contextHash(q.context)
	}
}
