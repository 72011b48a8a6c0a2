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

// WithRequestID returns a context whose operations are recorded with id, at most
// 128 bytes.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey, cut(id, 128))
}

// WithReason returns a context whose operations are recorded with why they are
// done, at most 256 bytes.
func WithReason(ctx context.Context, reason string) context.Context {
	return context.WithValue(ctx, reasonKey, cut(reason, 256))
}

func cut(s string, n int) string { return s[:min(len(s), n)] }

// stamps returns what WithRequestID and WithReason left in ctx.
func stamps(ctx context.Context) (id, reason string) {
	id, _ = ctx.Value(requestIDKey).(string)
	reason, _ = ctx.Value(reasonKey).(string)
	return id, reason
}

// record begins the audit record of one operation, which is taken to succeed.
func (v *Vault) record(op Operation, p Principal) audit.Record {
	return audit.Record{Principal: string(p), Operation: string(op), Phase: audit.Single, Result: audit.OK}
}

// note appends r to the log in tx. Sequence and time are given by the committer,
// so that they have one order.
func (v *Vault) note(tx *keystore.Tx, r audit.Record) {
	var seq uint64
	v.noteSeq(tx, r, &seq)
}

// noteSeq is note for who needs the sequence number: it is in given once the
// commit has returned.
func (v *Vault) noteSeq(tx *keystore.Tx, r audit.Record, given *uint64) {
	tx.Log(func(seq uint64) []byte {
		*given = seq
		boot := v.clock.Boot()
		r.Seq, r.Time = seq, v.clock.Now().UTC()
		r.BootID, r.Uptime = hex.EncodeToString(boot.ID[:]), boot.Since
		return r.Append(nil)
	})
}

// contextHash returns a keyed hash of an encryption context: the audit can be
// searched for a context, and tells none.
func (v *Vault) contextHash(c boundContext) []byte {
	h := v.suite.MAC(v.secrets.context(), c.canonical)
	return h[:]
}
