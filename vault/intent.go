package vault

import (
	"context"
	"maps"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// intent is the stored promise of an operation that makes material: what is to be
// settled if the outcome never came.
type intent struct {
	Operation Operation         `json:"operation"`
	Key       string            `json:"key"`
	Number    uint32            `json:"number"`
	Driver    string            `json:"driver"`
	Material  driver.MaterialID `json:"material"`
	Principal Principal         `json:"principal"`
	// Seq is that of the intent's record. It is stored where it is known beforehand;
	// else the record is looked for from From on, the size of the log before it.
	Seq  uint64 `json:"seq,omitempty"`
	From uint64 `json:"from,omitempty"`
	// Token is the import token that an import tries, by its wrapping key.
	Token string `json:"token,omitempty"`
	// uncounted: the try of the token does not count as failed. Not stored: what a crash
	// cuts off counts.
	uncounted bool
	// Doomed: the material is to be destroyed, and the intent is settled when it is.
	Doomed *doom `json:"doomed,omitempty"`
}

// announce stores an intent, and its record. Where that stands is in in.Seq once the
// commit has returned.
func (v *Vault) announce(tx *keystore.Tx, in *intent, r audit.Record) {
	in.Seq, in.From = 0, v.store.LogState().Size // an operation may run again
	tx.Put(intentPath(in.Material), encode(*in))
	detail := map[string]string{"material": in.Material.String()}
	maps.Copy(detail, r.Detail)
	r.Detail = detail
	v.noteSeq(tx, r, &in.Seq)
}

// announceWithin is how many records after From an intent's record stands at most:
// those of one group.
const announceWithin = 4096

// seqOf returns where the record of an intent stands; 0 if that is not known.
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
