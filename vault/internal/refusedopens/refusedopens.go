// Package refusedopens counts the calls of Open that no protector could open, in a file beside
// the root file.
package refusedopens

import (
	"encoding/json"
	"errors"
	"time"

	"strongroom.example/keystore"
	"strongroom.example/vault/internal/fault"
	"strongroom.example/vault/internal/record"
)

// File is the name of the file. A refused call cannot write to the log, so the next successful
// Open records the count and removes the file. The file is not authenticated: anyone who can
// write to the directory can change or remove it. The record says so.
const File = "refused"

// maxSize is larger in bytes than the file can be.
const maxSize = 512

// A Count is the content of the file.
type Count struct {
	Format int       `json:"format"`
	Count  uint32    `json:"count"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
}

// Read returns the content of the file. It returns the zero value if there is no file, and
// ErrCorrupt if the file is not readable.
func Read(lock *keystore.DirLock) (c Count, err error) {
	b, err := lock.ReadBeside(File, maxSize)
	if err != nil || b == nil {
		return c, err
	}
	if err := json.Unmarshal(b, &c); err != nil || c.Format != 1 || c.Count == 0 {
		return Count{}, fault.ErrCorrupt
	}
	return c, nil
}

// Add counts a refused call of Open, if the directory can be written.
func Add(lock *keystore.DirLock, now time.Time) {
	c, err := Read(lock)
	if err != nil && !errors.Is(err, fault.ErrCorrupt) {
		return
	}
	if c.Format = 1; c.Count == 0 {
		c.First = now
	}
	if c.Last = now; c.Count+1 != 0 {
		c.Count++
	}
	_ = lock.ReplaceBeside(File, record.Encode(c))
}
