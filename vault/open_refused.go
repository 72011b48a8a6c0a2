package vault

import (
	"encoding/json"
	"errors"
	"time"

	"strongroom.example/audit"
	"strongroom.example/keystore"
)

// refusedFile counts the calls of Open that no protector opened, beside the root file. The
// log is closed to them, so that the count waits for the next Open that succeeds, which
// puts it on record and removes the file. Nothing authenticates it: whoever may write to
// the directory may change or remove it, and the record says so.
const refusedFile = "refused"

// maxRefusedFile is more bytes than the file ever has.
const maxRefusedFile = 512

// refusedOpens is what the file holds.
type refusedOpens struct {
	Format int       `json:"format"`
	Count  uint32    `json:"count"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
}

// readRefused returns what the file holds. One that is absent holds nothing; one that is
// not readable is ErrCorrupt.
func readRefused(lock *keystore.DirLock) (r refusedOpens, err error) {
	b, err := lock.ReadBeside(refusedFile, maxRefusedFile)
	if err != nil || b == nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil || r.Format != 1 || r.Count == 0 {
		return refusedOpens{}, ErrCorrupt
	}
	return r, nil
}

// countRefusedOpen adds a call of Open to the file, as far as the directory lets it.
func countRefusedOpen(lock *keystore.DirLock, now time.Time) {
	r, err := readRefused(lock)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return
	}
	if r.Format = 1; r.Count == 0 {
		r.First = now
	}
	if r.Last = now; r.Count+1 != 0 {
		r.Count++
	}
	_ = lock.ReplaceBeside(refusedFile, encode(r))
}

// refusedRecord is the record of the calls of Open that failed since the last one that
// succeeded; false if there are none.
func (v *Vault) refusedRecord() (audit.Record, bool) {
	r, err := readRefused(v.lock)
	if err == nil && r.Count == 0 {
		return audit.Record{}, false
	}
	rec := v.record(OpOpenVault, byUnnamed)
	rec.Result, rec.Error = audit.Refused, errorName(ErrUnlock)
	rec.Detail = map[string]string{"source": "unauthenticated file"}
	if err != nil {
		rec.Detail["count"] = "unreadable"
		return rec, true
	}
	if r.Count > 1 {
		rec.Count = uint64(r.Count)
	}
	rec.Detail["first"], rec.Detail["last"] = r.First.UTC().Format(time.RFC3339), r.Last.UTC().Format(time.RFC3339)
	return rec, true
}
