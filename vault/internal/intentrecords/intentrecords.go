// Package intentrecords has the records of operations that make or destroy material, and finds
// the audit records that belong to them.
package intentrecords

import (
	"context"
	"errors"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/deviceid"
	"strongroom.example/vault/internal/record"
)

// Folder has the records of all intents.
const Folder = "intent/"

// Path returns the path of the intent about a material.
func Path(id driver.MaterialID) string { return Folder + id.String() }

// An Intent is stored before an operation makes material. If the outcome is never recorded,
// the intent tells recovery what to roll back.
type Intent struct {
	// Operation is a vault.Operation, and Principal a vault.Principal.
	Operation string `json:"operation"`
	Key       string `json:"key"`
	Number    uint32 `json:"number"`
	Driver    string `json:"driver"`
	// Device is the device in which the material is or will be an object; nil if it is not known.
	Device    *deviceid.Identity `json:"device,omitempty"`
	Material  driver.MaterialID  `json:"material"`
	Principal string             `json:"principal"`
	// Seq is the sequence number of the intent's record, if it was known when the intent was
	// stored. Otherwise the record is found by a search that starts at From, the size of the
	// log before it.
	Seq  uint64 `json:"seq,omitempty"`
	From uint64 `json:"from,omitempty"`
	// Token is the serial of the import token that an import uses.
	Token string `json:"token,omitempty"`
	// Uncounted: the attempt with the token does not count as failed. It is not stored, so
	// an attempt that a crash interrupts counts.
	Uncounted bool `json:"-"`
	// Destruction describes material to be destroyed. The intent ends when it is destroyed.
	Destruction *Destruction `json:"doomed,omitempty"`
}

// A Destruction is the part of an intent that describes material to be destroyed.
type Destruction struct {
	Spec driver.KeySpec `json:"spec"`
	// Object: the material is an object in the device, not a blob.
	Object bool `json:"object,omitempty"`
	// Epoch: the destruction changes the epoch, which destroys the key that sealed the
	// material, so that an old copy of the store beside the present root file cannot open the
	// material. Without Epoch it can until the next change of epoch.
	Epoch bool `json:"epoch,omitempty"`
}

// searched is how many records behind the size of the log, at the time when an intent was
// staged, are searched for the intent's record. A commit group has rarely more; then the
// outcome does not name the intent's record.
const searched = 4096

// RecordSeq returns the sequence number of an intent's record, or 0 if it is not known.
func (in Intent) RecordSeq(ctx context.Context, s *keystore.Store) uint64 {
	if in.Seq != 0 || in.From == 0 {
		return in.Seq
	}
	return Find(ctx, s, in.From, func(r audit.Record) bool {
		return r.Phase == audit.Intent && r.Detail["material"] == in.Material.String()
	})
}

// Find returns the sequence number of the first audit record that matches, at from or a
// little behind it; 0 if there is none.
func Find(ctx context.Context, s *keystore.Store, from uint64, matches func(audit.Record) bool) uint64 {
	for e, err := range s.LogRange(ctx, from, from+searched) {
		if err != nil {
			return 0
		}
		if r, err := audit.ParseRecord(e.Leaf); err == nil && matches(r) {
			return r.Seq
		}
	}
	return 0
}

// KeepSeqs stores, in the intents whose records a cut of the log before size removes, the
// numbers of these records, because they cannot be searched for later.
func KeepSeqs(ctx context.Context, tx *keystore.Tx, s *keystore.Store, size uint64) error {
	for _, path := range tx.Paths(Folder) {
		in, err := record.Read[Intent](tx, path)
		if errors.Is(err, keystore.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if in.From == 0 || in.From >= size || in.Seq != 0 {
			continue
		}
		if in.Seq = in.RecordSeq(ctx, s); in.Seq != 0 {
			tx.Put(path, record.Encode(in))
		}
	}
	return nil
}
