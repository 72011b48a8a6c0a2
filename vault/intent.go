package vault

import (
	"context"
	"maps"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// intent is stored before an operation makes material. If the outcome is never recorded,
// the intent tells recovery what to roll back.
type intent struct {
	Operation Operation         `json:"operation"`
	Key       string            `json:"key"`
	Number    uint32            `json:"number"`
	Driver    string            `json:"driver"`
	Material  driver.MaterialID `json:"material"`
	Principal Principal         `json:"principal"`
	// Seq is the sequence number of the intent's record, if it was known when the intent was
	// stored. Otherwise the record is found by a search that starts at From, the size of the
	// log before it.
	Seq  uint64 `json:"seq,omitempty"`
	From uint64 `json:"from,omitempty"`
	// Token is the serial of the import token that an import uses.
	Token string `json:"token,omitempty"`
	// uncounted: the attempt with the token does not count as failed. It is not stored, so
	// an attempt that a crash interrupts counts.
	uncounted bool
	// Doomed describes material to be destroyed. The intent is settled when it is destroyed.
	Doomed *doom `json:"doomed,omitempty"`
}

// announce stores an intent and its record. The record's sequence number is in in.Seq once
// the commit has returned.
func (v *Vault) announce(tx *keystore.Tx, in *intent, r audit.Record) {
	in.Seq, in.From = 0, v.store.LogState().Size // the operation may be repeated
	tx.Put(intentPath(in.Material), encode(*in))
	detail := map[string]string{"material": in.Material.String()}
	maps.Copy(detail, r.Detail)
	r.Detail = detail
	v.noteSeq(tx, r, &in.Seq)
}

// announceWithin bounds the distance of an intent's record from From. It is the number of
// records in one commit group.
const announceWithin = 4096

// seqOf returns the sequence number of an intent's record, or 0 if it is not known.
func (v *Vault) seqOf(ctx context.Context, in intent) uint64 {
	if in.Seq != 0 || in.From == 0 {
		return in.Seq
	}
	for e, err := range v.store.LogRange(ctx, in.From, in.From+announceWithin) {
		if err != nil {
			return 0
		}
		r, err := audit.ParseRecord(e.Leaf)
		if err == nil && r.Phase == audit.Intent && r.Detail["material"] == in.Material.String() {
			return r.Seq
		}
	}
	return 0
}
