// Package head has the record with the state of the whole store, which every batch writes.
// docs/formats.md specifies the bytes.
package head

import (
	"encoding/binary"
	"fmt"

	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/fields"
	"strongroom.example/keystore/internal/journal"
	"strongroom.example/keystore/internal/tip"
)

// LogState is the state of the audit log, as package keystore documents it.
type LogState struct {
	Size       uint64
	Root       [32]byte
	Frontier   [][32]byte
	Checkpoint uint64
}

// A Head is the state of the whole store at a generation.
type Head struct {
	Generation uint64
	Log        LogState
	Digest     [32]byte // of the census
	Count      uint64   // of the records in the census
	RootHash   [32]byte // of the root file
	NextRoot   [32]byte // zero: no replacement of the root file is in progress
	Epoch      uint32   // the material epoch that is current, or will be once a change in progress is complete
	Synced     uint64   // the newest generation that a durable tip had when the batch was made
	Journal    journal.End
}

const (
	format    = 3 // 2 has no journal, 1 no synced either
	fixedSize = 1 + 8 + 8 + 32 + 8 + 32 + 8 + 32 + 32 + 4 + 8 + journal.EndSize + 1
	// MaxSize is the length of the longest encoded head.
	MaxSize = fixedSize + 32*fields.MaxHashes
)

// Tip returns what the tip records of h.
func (h Head) Tip() tip.State {
	return tip.State{
		Generation: h.Generation, Size: h.Log.Size, LogRoot: h.Log.Root, RootHash: h.RootHash,
		Journal: h.Journal, Frontier: h.Log.Frontier,
	}
}

// Append appends the encoding of h.
func (h Head) Append(dst []byte) []byte {
	be := binary.BigEndian
	dst = append(dst, format)
	dst = be.AppendUint64(dst, h.Generation)
	dst = be.AppendUint64(dst, h.Log.Size)
	dst = append(dst, h.Log.Root[:]...)
	dst = be.AppendUint64(dst, h.Log.Checkpoint)
	dst = append(dst, h.Digest[:]...)
	dst = be.AppendUint64(dst, h.Count)
	dst = append(dst, h.RootHash[:]...)
	dst = append(dst, h.NextRoot[:]...)
	dst = be.AppendUint32(dst, h.Epoch)
	dst = be.AppendUint64(dst, h.Synced)
	dst = h.Journal.Append(dst)
	return fields.AppendHashes(dst, h.Log.Frontier)
}

// Parse parses what Append appended, in this or an earlier format.
func Parse(b []byte) (Head, error) {
	var h Head
	bad := fmt.Errorf("%w: head", fault.ErrCorrupt)
	if len(b) == 0 || b[0] == 0 || b[0] > format {
		return h, bad
	}
	r := fields.NewReader(b[1:])
	h.Generation, h.Log.Size = r.Uint(8), r.Uint(8)
	r.Fill(h.Log.Root[:])
	h.Log.Checkpoint = r.Uint(8)
	r.Fill(h.Digest[:])
	h.Count = r.Uint(8)
	r.Fill(h.RootHash[:])
	r.Fill(h.NextRoot[:])
	h.Epoch = uint32(r.Uint(4))
	if b[0] > 1 {
		h.Synced = r.Uint(8)
	}
	if b[0] > 2 {
		h.Journal = journal.ReadEnd(&r)
	}
	h.Log.Frontier = r.Hashes()
	if !r.Done() {
		return h, bad
	}
	return h, nil
}
