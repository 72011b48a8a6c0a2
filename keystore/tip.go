package keystore

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

const (
	tipFile = "tip"
	tipSlot = 4096
	tipBody = 4 + 8 + 8 + 32 + 32
	tipUsed = tipBody + 32
)

var tipMagic = []byte("SRT\x01")

// tipState is the tip's record of the newest commit.
type tipState struct {
	generation uint64
	size       uint64
	logRoot    [32]byte
	rootHash   [32]byte
}

func (h head) tip() tipState {
	return tipState{h.generation, h.log.Size, h.log.Root, h.rootHash}
}

// tip is the file outside the engine by which an older store is detected. It has two
// slots. One holds the last synced state and is not touched; all writes until the next
// sync go to the other. A power cut can therefore damage only one slot.
type tip struct {
	file    *os.File
	slot    int64 // the slot to write
	dirty   bool
	written uint64 // the generation written last
	synced  uint64 // the newest generation that is durable
	buf     [tipUsed]byte
}

// createTip makes the file at its full size. Neither slot is valid yet.
func createTip(d *directory) (*tip, error) {
	f, err := d.open(tipFile, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(make([]byte, 2*tipSlot)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &tip{file: f}, nil
}

// openTip opens the file, syncs it and returns the newest valid slot. It returns
// ErrCorrupt if the file is missing or neither slot is valid.
func openTip(d *directory, k *keyring) (*tip, tipState, error) {
	var best tipState
	f, err := d.open(tipFile, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, best, fmt.Errorf("%w: the tip file is missing: whether the store is the newest cannot be told; put back a copy of the whole directory", ErrCorrupt)
	}
	if err != nil {
		return nil, best, err
	}
	b, err := io.ReadAll(io.LimitReader(f, 2*tipSlot))
	if err = errors.Join(err, f.Sync()); err != nil { // a process that was killed may have left it unsynced
		return nil, best, errors.Join(err, f.Close())
	}
	t, valid := &tip{file: f}, false
	for at := 0; at+tipUsed <= len(b); at += tipSlot {
		if s, ok := parseTip(k, b[at:at+tipUsed]); ok && (!valid || s.generation > best.generation) {
			best, valid = s, true
			t.slot, t.written, t.synced = 1-int64(at/tipSlot), s.generation, s.generation
		}
	}
	if !valid {
		f.Close()
		return nil, best, fmt.Errorf("%w: both slots of the tip file are damaged: whether the store is the newest cannot be told", ErrCorrupt)
	}
	return t, best, nil
}

func parseTip(k *keyring, b []byte) (tipState, bool) {
	mac := k.suite.MAC(k.tipKey(), b[:tipBody])
	if !hmac.Equal(mac[:], b[tipBody:tipUsed]) || !bytes.Equal(b[:4], tipMagic) {
		return tipState{}, false
	}
	s := tipState{generation: binary.BigEndian.Uint64(b[4:]), size: binary.BigEndian.Uint64(b[12:])}
	copy(s.logRoot[:], b[20:])
	copy(s.rootHash[:], b[52:])
	return s, true
}

// write writes the state to the slot that does not hold the last synced one. The next
// sync makes it durable.
func (t *tip) write(k *keyring, s tipState) error {
	b := t.encode(k, s)
	t.dirty, t.written = true, s.generation
	_, err := t.file.WriteAt(b, t.slot*tipSlot)
	return err
}

// encode returns a slot's bytes, which are valid until the next call.
func (t *tip) encode(k *keyring, s tipState) []byte {
	b := append(t.buf[:0], tipMagic...)
	b = binary.BigEndian.AppendUint64(b, s.generation)
	b = binary.BigEndian.AppendUint64(b, s.size)
	b = append(b, s.logRoot[:]...)
	b = append(b, s.rootHash[:]...)
	mac := k.suite.MAC(k.tipKey(), b)
	return append(b, mac[:]...)
}

// writeAgain writes the contents of the open file to a new file under the tip's name,
// durably, and continues with the new file. The name must be free.
func (t *tip) writeAgain(d *directory) error {
	b := make([]byte, 2*tipSlot)
	if _, err := t.file.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := d.writeSynced(tipFile+".new", b); err != nil {
		return err
	}
	if err := errors.Join(d.root.Rename(tipFile+".new", tipFile), d.sync()); err != nil {
		return err
	}
	f, err := d.open(tipFile, os.O_RDWR)
	if err != nil {
		return err
	}
	was := t.file
	t.file = f
	return was.Close()
}

func (t *tip) sync() error {
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
