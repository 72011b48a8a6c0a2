// Package tip has the file outside the engine by which a store that was rolled back is detected.
// docs/formats.md specifies the bytes.
package tip

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"strongroom.example/keystore/internal/directory"
	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/fields"
	"strongroom.example/keystore/internal/journal"
	"strongroom.example/keystore/internal/keyring"
)

const (
	slotSize = 4096
	bodySize = 4 + 8 + 8 + 32 + 32 // the fields of both formats
	maxBody  = bodySize + 8 + journal.EndSize + 1 + 32*fields.MaxHashes + 32
)

// magic begins a slot of format 2. Format 1 has the first fields of State only.
var magic, magic1 = []byte("SRT\x02"), []byte("SRT\x01")

// A State is the tip's record of the newest commit.
type State struct {
	Generation uint64
	Size       uint64   // of the audit log
	LogRoot    [32]byte // of the log's tree
	RootHash   [32]byte // of the root file

	// Since format 2. Repair needs them if the engine is lost.
	Journal  journal.End
	Frontier [][32]byte // of the log's tree
}

// SameCommit reports whether both states are of one commit. The journal may have been rewritten
// between the two.
func (t State) SameCommit(o State) bool {
	return t.Generation == o.Generation && t.Size == o.Size && t.LogRoot == o.LogRoot && t.RootHash == o.RootHash
}

// A File is an open tip. It has two slots. One holds the last synced state and is not touched;
// all writes until the next sync go to the other. A power cut can therefore damage only one slot.
type File struct {
	file    *os.File
	slot    int64 // the slot to write
	dirty   bool
	written uint64 // the generation written last
	synced  uint64 // the newest generation that is durable
	buf     [maxBody]byte
}

// Create makes the file at its full size. Neither slot is valid yet.
func Create(d *directory.Dir, name string) (*File, error) {
	f, err := d.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(make([]byte, 2*slotSize)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &File{file: f}, nil
}

// Open opens the file, syncs it and returns the newest valid slot. It returns ErrCorrupt if the
// file is missing or neither slot is valid.
func Open(d *directory.Dir, name string, k *keyring.Keyring) (*File, State, error) {
	var best State
	f, err := d.OpenFile(name, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, best, fmt.Errorf("%w: the tip file is missing: whether the store is the newest cannot be told; put back a copy of the whole directory", fault.ErrCorrupt)
	}
	if err != nil {
		return nil, best, err
	}
	b, err := io.ReadAll(io.LimitReader(f, 2*slotSize))
	if err == nil {
		err = syncContent(f, b) // a process that was killed may have left it unsynced
	}
	if err != nil {
		return nil, best, errors.Join(err, f.Close())
	}
	t, valid := &File{file: f}, false
	for at := 0; at < len(b); at += slotSize {
		if s, ok := parse(k, b[at:min(at+slotSize, len(b))]); ok && (!valid || s.Generation > best.Generation) {
			best, valid = s, true
			t.slot, t.written, t.synced = 1-int64(at/slotSize), s.Generation, s.Generation
		}
	}
	if !valid {
		f.Close()
		return nil, best, fmt.Errorf("%w: both slots of the tip file are damaged: whether the store is the newest cannot be told", fault.ErrCorrupt)
	}
	return t, best, nil
}

// syncContent syncs a tip whose content is b. A shortage makes it write the content again and
// sync it once more, because a later sync tells nothing about what the first one left.
func syncContent(f *os.File, b []byte) error {
	err := f.Sync()
	if !fault.IsShortage(err) {
		return err
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	return f.Sync()
}

// parse parses a slot, whose fields may be followed by other bytes.
func parse(k *keyring.Keyring, b []byte) (s State, ok bool) {
	r := fields.NewReader(b)
	format := r.Bytes(len(magic), len(magic))
	s.Generation, s.Size = r.Uint(8), r.Uint(8)
	r.Fill(s.LogRoot[:])
	r.Fill(s.RootHash[:])
	if bytes.Equal(format, magic) {
		s.Journal, s.Frontier = journal.ReadEnd(&r), r.Hashes()
	} else if !bytes.Equal(format, magic1) {
		return s, false
	}
	body := b[:len(b)-len(r.Rest())]
	sum := r.Bytes(32, 32)
	if r.Bad() {
		return s, false
	}
	mac := k.MAC(keyring.Tip, body)
	return s, hmac.Equal(mac[:], sum)
}

// Write writes the state to the slot that does not hold the last synced one. The next
// sync makes it durable.
func (t *File) Write(k *keyring.Keyring, s State) error {
	b := t.encode(k, s)
	t.dirty, t.written = true, s.Generation
	_, err := t.file.WriteAt(b, t.slot*slotSize)
	return err
}

// encode returns a slot's bytes, which are valid until the next call.
func (t *File) encode(k *keyring.Keyring, s State) []byte {
	b := append(t.buf[:0], magic...)
	b = binary.BigEndian.AppendUint64(b, s.Generation)
	b = binary.BigEndian.AppendUint64(b, s.Size)
	b = append(b, s.LogRoot[:]...)
	b = append(b, s.RootHash[:]...)
	b = fields.AppendHashes(s.Journal.Append(b), s.Frontier)
	mac := k.MAC(keyring.Tip, b)
	return append(b, mac[:]...)
}

// Sync makes the state that was written last durable.
func (t *File) Sync() error {
	if !t.dirty {
		return nil
	}
	t.dirty = false
	if err := t.file.Sync(); err != nil {
		return err
	}
	t.slot, t.synced = 1-t.slot, t.written
	return nil
}

// Dirty reports whether a state was written since the last Sync.
func (t *File) Dirty() bool { return t.dirty }

// Synced returns the newest generation that is durable.
func (t *File) Synced() uint64 { return t.synced }

// IsAt returns ErrReplaced unless the name in the directory is that of the file.
func (t *File) IsAt(d *directory.Dir, name string) error { return d.IsAt(name, t.file) }

// WriteAgain writes the file again under its name, which must be free, and continues with it.
func (t *File) WriteAgain(d *directory.Dir, name string) error { return d.WriteAgain(name, &t.file) }

// Close closes the file without a Sync.
func (t *File) Close() error { return t.file.Close() }
