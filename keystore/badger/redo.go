package badger

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"strongroom.example/keystore"
)

const (
	redoFile = "redo"
	redoSize = 4 << 20
)

// redo is the log in front of Badger: every batch since Badger was last known to
// be durable. Its blocks are written before they are used, so that a commit syncs
// data and nothing else: no new length, no new blocks. A run through the file is
// an epoch; the next one begins at the start again.
type redo struct {
	file *os.File
	past *direct // writes past the system's cache; nil where that cannot be
	dir  string
	last position // of the newest record
	end  int64    // where the next record goes
	buf  []byte   // the newest record, until Badger has taken it
}

// openRedo opens the log of dir, and makes it if it is missing.
func openRedo(dir string) (*redo, error) {
	f, err := os.OpenFile(filepath.Join(dir, redoFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keystore/badger: %w", err)
	}
	return &redo{file: f, dir: dir}, nil
}

// each calls f for every record of the log's epoch, that of its first record: in
// order, up to the first one that is not whole. The batch lasts until f returns.
func (r *redo) each(f func(at position, b keystore.Batch) error) error {
	var last position
	for end := int64(0); ; {
		record, err := r.read(end)
		if err != nil || record == nil {
			return err
		}
		at, b, ok := parseRecord(record)
		if !ok || end > 0 && at != (position{last.epoch, last.seq + 1}) {
			return nil
		}
		if err := f(at, b); err != nil {
			return err
		}
		last, end = at, end+int64(len(record))
	}
}

// read answers the bytes of what may be a record, none at the end of the log.
func (r *redo) read(at int64) ([]byte, error) {
	var head [4]byte
	if _, err := r.file.ReadAt(head[:], at); err != nil {
		return nil, ended(err)
	}
	n, ok := recordLength(head[:])
	if !ok {
		return nil, nil
	}
	if n > cap(r.buf) {
		r.buf = make([]byte, n)
	}
	record := r.buf[:n]
	if _, err := r.file.ReadAt(record, at); err != nil {
		return nil, ended(err)
	}
	return record, nil
}

// ended is nil if the file ends where a record was looked for.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("keystore/badger: read the redo log: %w", err)
}

// start readies a log that was read for the batches after number seq.
func (r *redo) start(seq uint64) error {
	r.begin(seq)
	info, err := r.file.Stat()
	if err == nil && info.Size() != redoSize {
		err = r.fill()
	}
	if err == nil {
		r.past = newDirect(r.file)
	}
	return err
}

// begin starts an epoch after the batch with number seq. Badger must be durable up
// to that one: the first record of the epoch overwrites the older ones.
func (r *redo) begin(seq uint64) {
	var epoch [8]byte
	rand.Read(epoch[:])
	r.last, r.end = position{binary.BigEndian.Uint64(epoch[:]), seq}, 0
}

// fill writes the whole file, empty, at its size.
func (r *redo) fill() error {
	if _, err := r.file.WriteAt(make([]byte, redoSize), 0); err != nil {
		return err
	}
	return errors.Join(r.file.Truncate(redoSize), r.file.Sync(), syncDir(r.dir))
}

// encode makes the batch's record, the next one. It lasts until encode is called
// again.
func (r *redo) encode(b keystore.Batch) []byte {
	r.buf = appendRecord(r.buf[:0], position{r.last.epoch, r.last.seq + 1}, b)
	return r.buf
}

// holds tells whether a record has room before the end of the file.
func (r *redo) holds(record []byte) bool { return r.end+int64(len(record)) <= redoSize }

// append writes the record that encode made and returns once it is on disk. After
// an error nobody knows whether it is there.
func (r *redo) append(record []byte) error {
	if err := r.write(record); err != nil {
		return err
	}
	if err := datasync(r.file); err != nil {
		return err
	}
	r.last.seq++
	r.end += int64(len(record))
	return nil
}

func (r *redo) write(record []byte) error {
	if r.past != nil {
		return r.past.write(record, r.end)
	}
	_, err := r.file.WriteAt(record, r.end)
	return err
}

// clear leaves a log without a record: all of them are in Badger's tables.
func (r *redo) clear() error {
	if _, err := r.file.WriteAt(make([]byte, recordHeader), 0); err != nil {
		return err
	}
	return datasync(r.file)
}

func (r *redo) close() error { return errors.Join(r.past.close(), r.file.Close()) }
