package vault

import (
	"context"
	"maps"

	"strongroom.example/audit"
	"strongroom.example/keystore"
)

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
