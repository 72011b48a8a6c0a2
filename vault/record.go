package vault

import (
	"context"
	"encoding/hex"

	"strongroom.example/audit"
	"strongroom.example/keystore"
)

type stampKey int

const (
	requestIDKey stampKey = iota
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

// stamps returns the values that WithRequestID and WithReason stored in ctx.
func stamps(ctx context.Context) (id, reason string) {
	id, _ = ctx.Value(requestIDKey).(string)
	reason, _ = ctx.Value(reasonKey).(string)
	return id, reason
}

// record returns the audit record of a successful operation. The caller changes Result if
// the operation fails.
func (v *Vault) record(op Operation, p Principal) audit.Record {
	return audit.Record{Principal: string(p), Operation: string(op), Phase: audit.Single, Result: audit.OK}
}

// note appends r to the log in tx. The committer sets its sequence number and time, so that
// both have the same order.
func (v *Vault) note(tx *keystore.Tx, r audit.Record) {
	var seq uint64
	v.noteSeq(tx, r, &seq)
}

// noteSeq is like note, and stores the record's sequence number in given. The number is
// valid once the commit has returned.
func (v *Vault) noteSeq(tx *keystore.Tx, r audit.Record, given *uint64) {
	tx.Log(func(seq uint64) []byte {
		*given = seq
		boot := v.clock.Boot()
		r.Seq, r.Time = seq, v.clock.Now().UTC()
		r.BootID, r.Uptime = hex.EncodeToString(boot.ID[:]), boot.Since
		return r.Append(nil)
	})
}

// contextHash returns a keyed hash of an encryption context. The audit log can be searched
// for a context, but does not reveal it.
func (v *Vault) contextHash(c boundContext) []byte {
	h := v.suite.MAC(v.secrets.context(), c.canonical)
	return h[:]
}
