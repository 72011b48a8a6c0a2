package vault

import (
	"context"
	"time"

	"strongroom.example/audit"
	"strongroom.example/keystore"
)

// request is one operation as a method describes it to the pipeline.
type request struct {
	op      Operation
	key     string // CMK id or alias
	version uint32 // the CMK's version; 0: the primary
	context boundContext
	size    int    // bytes of input
	alias   string // what is asked for; see Request
	tags    map[string]string
	driver  string
	validTo time.Time // of imported material
	lenient bool      // see entry
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
	// also is a second decision that the operation rests on: its record is committed
	// with rec, and both keys must be as they were.
	also *decided
	// detached: the change reads the key's record itself, and may find it altered.
	detached bool
	// outcome: the operation works with a device between its first commit and its last.
	// The last commit then asks only that the key's state still allows the operation.
	outcome bool
	// askAgain: the Authorizer is asked once more right before the commit, because the
	// operation takes long and its result rests on a permission that may have ended.
	askAgain bool
	// alters: the change alters the key's record as it finds it, if its state allows that.
	alters bool
	// lenient: the Authorizer was asked often enough, and alias and tags may have changed
	// since.
	lenient bool
	// exact: any other record of the key is another key: what was not found was moved or
	// deleted meanwhile.
	exact bool
	// undo takes back what was done to the device when the commit failed.
	undo func(error) error
	// settled: the failure is on record already.
	settled bool
}

// decided is a request for which the decision fell.
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
