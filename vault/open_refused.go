package vault

import (
	"encoding/json"
	"errors"
	"time"

	"strongroom.example/audit"
	"strongroom.example/keystore"
)

// refusedFile is the name of the file, beside the root file, that counts the calls of Open
// that no protector could open. Such a call cannot write to the log, so the next successful
// Open records the count and removes the file. The file is not authenticated: anyone who
// can write to the directory can change or remove it. The record says so.
const refusedFile = "refused"

// maxRefusedFile is larger in bytes than the file can be.
const maxRefusedFile = 512

// refusedOpens is the content of the file.
type refusedOpens struct {
	Format int       `json:"format"`
	Count  uint32    `json:"count"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
}

// readRefused returns the content of the file. It returns the zero value if there is no
// file, and ErrCorrupt if the file is not readable.
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

// countRefusedOpen counts a failed call of Open in the file, if the directory can be
// written.
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

// refusedRecord returns the record of the calls of Open that failed since the last
// successful one. It returns false if there were none.
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
