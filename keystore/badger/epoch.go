package badger

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"strongroom.example/keystore"
	"strongroom.example/keystore/internal/osfile"
)

const (
	epochFile = "epoch"
	epochSlot = 4096
	epochBody = 4 + 8 + 1 + 8 + 8 + 32
)

var epochMagic = []byte("SRE\x01")

// epochState names the segment of the redo log that is in use. After a clean Close it
// names the last record as well, and a log that ends elsewhere is not the store's.
type epochState struct {
	serial uint64
	closed bool
	epoch  uint64
	seq    uint64        // of the newest batch when the segment began; of the last one if closed
	chain  [macSize]byte // the MAC of the segment's header; of the last record if closed
}

// epochLog is the file that holds the state, in two slots that are written in turn, so
// that one is whole whatever a power cut leaves. It has its full size from the start:
// a full disk does not keep a store from closing.
type epochLog struct {
	file  *os.File
	mac   macFunc
	state epochState
	slot  int64 // the one that is written next
}

// openEpoch opens the file and reads it. found is false if there is none.
func openEpoch(dir string, mac macFunc) (e *epochLog, found bool, err error) {
	e = &epochLog{mac: mac}
	f, err := os.OpenFile(filepath.Join(dir, epochFile), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return e, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("keystore/badger: %w", err)
	}
	e.file = f
	content, err := io.ReadAll(io.LimitReader(f, 2*epochSlot))
	if err != nil {
		return nil, false, errors.Join(fmt.Errorf("keystore/badger: read %s: %w", epochFile, err), f.Close())
	}
	for slot := range int64(2) {
		at := min(slot*epochSlot, int64(len(content)))
		s, ok := parseEpoch(mac, content[at:])
		if ok && (!found || s.serial > e.state.serial) {
			e.state, e.slot, found = s, 1-slot, true
		}
	}
	if !found {
		return nil, false, errors.Join(fmt.Errorf("%w: %s is damaged: whether the redo log is the newest cannot be told",
			keystore.ErrCorrupt, filepath.Join(dir, epochFile)), f.Close())
	}
	return e, true, nil
}

// create makes the file with its first state. It gets its name when that is durable: a
// crash leaves a store with the state or without the file.
func (e *epochLog) create(dir string, s epochState) error {
	path := filepath.Join(dir, epochFile)
	f, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	e.file = f
	if _, err := f.Write(make([]byte, 2*epochSlot)); err != nil {
		return err
	}
	if err := e.set(s); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return osfile.SyncPath(dir)
}

// set writes the next state and returns once it is durable. After an error either this
// state or the one before counts.
func (e *epochLog) set(s epochState) error {
	s.serial = e.state.serial + 1
	b := s.encode(e.mac)
	if _, err := e.file.WriteAt(b, e.slot*epochSlot); err != nil {
		return err
	}
	if err := e.file.Sync(); err != nil {
		return err
	}
	e.state, e.slot = s, 1-e.slot
	return nil
}

func (s epochState) encode(mac macFunc) []byte {
	closed := byte(0)
	if s.closed {
		closed = 1
	}
	b := append([]byte(nil), epochMagic...)
	b = binary.BigEndian.AppendUint64(b, s.serial)
	b = append(b, closed)
	b = binary.BigEndian.AppendUint64(b, s.epoch)
	b = binary.BigEndian.AppendUint64(b, s.seq)
	b = append(b, s.chain[:]...)
	sum := mac(labelEpoch, b)
	return append(b, sum[:]...)
}

func parseEpoch(mac macFunc, b []byte) (s epochState, ok bool) {
	if len(b) < epochBody+macSize || !bytes.Equal(b[:4], epochMagic) || b[12] > 1 {
		return s, false
	}
	if want := mac(labelEpoch, b[:epochBody]); !hmac.Equal(want[:], b[epochBody:epochBody+macSize]) {
		return s, false
	}
	be := binary.BigEndian
	s = epochState{serial: be.Uint64(b[4:]), closed: b[12] == 1, epoch: be.Uint64(b[13:]), seq: be.Uint64(b[21:])}
	copy(s.chain[:], b[29:])
	return s, true
}

func (e *epochLog) close() error {
	if e == nil || e.file == nil {
		return nil
	}
	return e.file.Close()
}
