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
)

const (
	segmentSize   = 4 << 20
	segmentStart  = 512 // where the first record begins: the header has a sector of its own
	segmentHeader = 4 + 8 + 8 + 8 + 32 + macSize
)

// segmentLimit is where a segment is full. A test that wants many tables sets it lower.
var segmentLimit int64 = segmentSize

// segmentNames are the files of the redo log. While the batches of one become a table
// the next ones go into the other.
var segmentNames = [2]string{"redo", "redo.2"}

var segmentMagic = []byte("SRL\x02")

// segmentHead is the header of a segment: its epoch, and the end of the segment before
// it, to whose records its own are chained.
type segmentHead struct {
	epoch  uint64
	before position      // the newest batch when the segment began
	chain  [macSize]byte // its record's MAC, or that of its segment's header if it had none
}

func (h segmentHead) encode(mac macFunc) ([]byte, [macSize]byte) {
	b := append(make([]byte, 0, segmentStart), segmentMagic...)
	b = binary.BigEndian.AppendUint64(b, h.epoch)
	b = binary.BigEndian.AppendUint64(b, h.before.epoch)
	b = binary.BigEndian.AppendUint64(b, h.before.seq)
	b = append(b, h.chain[:]...)
	sum := mac(labelSegment, b)
	return append(b, sum[:]...), sum
}

func parseSegmentHead(mac macFunc, b []byte) (h segmentHead, sum [macSize]byte, ok bool) {
	if len(b) < segmentHeader || !bytes.Equal(b[:4], segmentMagic) {
		return h, sum, false
	}
	copy(sum[:], b[segmentHeader-macSize:])
	if want := mac(labelSegment, b[:segmentHeader-macSize]); !hmac.Equal(want[:], sum[:]) {
		return h, sum, false
	}
	be := binary.BigEndian
	h.epoch, h.before.epoch, h.before.seq = be.Uint64(b[4:]), be.Uint64(b[12:]), be.Uint64(b[20:])
	copy(h.chain[:], b[28:])
	return h, sum, true
}

// segment is one file of the redo log. Its blocks are written before they are used, so
// that a commit syncs data and nothing else: no new length, no new blocks.
type segment struct {
	name string
	file *os.File // nil if there is none yet
	past *direct  // writes past the system's cache; nil where that cannot be
	mac  macFunc

	valid bool // the header is whole
	head  segmentHead
	last  uint64        // the seq of the newest record
	chain [macSize]byte // its MAC, or the header's
	end   int64         // where the next record goes
	buf   []byte        // the record that is being written
}

// openSegment opens a file of the log. It makes it only if create is set; without it
// the answer for an absent file is a segment without a file.
func openSegment(dir, name string, mac macFunc, create bool) (*segment, error) {
	flag := os.O_RDWR
	if create {
		flag |= os.O_CREATE
	}
	s := &segment{name: name, mac: mac}
	f, err := os.OpenFile(filepath.Join(dir, name), flag, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keystore/badger: %w", err)
	}
	s.file = f
	return s, nil
}

// readHead reads the header.
func (s *segment) readHead() error {
	s.valid = false
	if s.file == nil {
		return nil
	}
	content, err := io.ReadAll(io.NewSectionReader(s.file, 0, segmentStart))
	if err != nil {
		return fmt.Errorf("keystore/badger: read the redo log: %w", err)
	}
	if s.head, s.chain, s.valid = parseSegmentHead(s.mac, content); s.valid {
		s.last, s.end = s.head.before.seq, segmentStart
	}
	return nil
}

// each calls f for each record, in order, up to the first that is not whole or does not
// follow. Only records up to number upTo count. The batch lasts until f returns.
func (s *segment) each(upTo uint64, f func(r entry) error) error {
	content, err := io.ReadAll(io.NewSectionReader(s.file, 0, segmentSize))
	if err != nil {
		return fmt.Errorf("keystore/badger: read the redo log: %w", err)
	}
	for s.last < upTo && s.end < int64(len(content)) {
		record := cutRecord(s.mac, s.chain, content[s.end:])
		if record == nil {
			return nil
		}
		at, b, ok := parseRecord(record)
		if !ok || at != (position{s.head.epoch, s.last + 1}) {
			return nil
		}
		s.last, s.end = at.seq, s.end+int64(len(record))
		copy(s.chain[:], record[len(record)-macSize:])
		if err := f(entry{at, s.chain, b}); err != nil {
			return err
		}
	}
	return nil
}

// entry is a record that was read.
type entry struct {
	at    position
	chain [macSize]byte // its MAC
	batch keystore.Batch
}

// begin puts a header into the segment, which needs no record that is in it any more,
// and returns once that is durable.
func (s *segment) begin(dir string, head segmentHead) error {
	s.valid = false
	if s.file == nil {
		made, err := openSegment(dir, s.name, s.mac, true)
		if err != nil {
			return err
		}
		s.file = made.file
	}
	if err := s.fill(dir); err != nil {
		return err
	}
	b, sum := head.encode(s.mac)
	if _, err := s.file.WriteAt(b[:segmentStart], 0); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.head, s.chain, s.last, s.end = head, sum, head.before.seq, segmentStart
	s.valid = true
	return s.ready()
}

// ready prepares the segment for the record at its end.
func (s *segment) ready() error {
	if err := s.past.close(); err != nil {
		return err
	}
	s.past = newDirect(s.file, s.end)
	return nil
}

// fill writes the whole file, empty, unless it has its size.
func (s *segment) fill(dir string) error {
	info, err := s.file.Stat()
	if err != nil || info.Size() == segmentSize {
		return err
	}
	if _, err := s.file.WriteAt(make([]byte, segmentSize), 0); err != nil {
		return err
	}
	return errors.Join(s.file.Truncate(segmentSize), s.file.Sync(), syncDir(dir))
}

// encode makes the batch's record, the next one. It lasts until encode is called again.
func (s *segment) encode(b keystore.Batch) []byte {
	s.buf = appendRecord(s.buf[:0], position{s.head.epoch, s.last + 1}, b)
	sum := s.mac(labelRecord, s.chain[:], s.buf)
	s.buf = append(s.buf, sum[:]...)
	return s.buf
}

// holds reports whether the batch's record has room before the end of the file.
func (s *segment) holds(b keystore.Batch) bool {
	n := recordHeader + b.Size() + 6*len(b.Put) + 2*len(b.Delete) + macSize
	return s.end+int64(n) <= segmentLimit
}

// append writes the record that encode made and returns once it is durable. After an
// error it is not known whether the record is there.
func (s *segment) append(record []byte) error {
	if err := s.write(record); err != nil {
		return err
	}
	if err := datasync(s.file); err != nil {
		return err
	}
	s.last++
	s.end += int64(len(record))
	copy(s.chain[:], record[len(record)-macSize:])
	return nil
}

func (s *segment) write(record []byte) error {
	if s.past != nil {
		return s.past.write(record, s.end)
	}
	_, err := s.file.WriteAt(record, s.end)
	return err
}

// newest is the position of the newest record.
func (s *segment) newest() position { return position{s.head.epoch, s.last} }

func (s *segment) close() error {
	if s == nil || s.file == nil {
		return nil
	}
	err := errors.Join(s.past.close(), s.file.Close())
	s.past, s.file = nil, nil
	return err
}
