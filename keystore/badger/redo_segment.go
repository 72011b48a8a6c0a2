package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"strongroom.example/keystore"
	"strongroom.example/keystore/internal/osfile"
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

// A record of the redo log is one batch; the sealed records of the store are values in it:
//
//	length u32, of the whole record | epoch u64 | seq u64 | puts u32 | deletes u32 |
//	each put: key length u16, value length u32, key, value | each delete: key length u16, key |
//	MAC 32, over the MAC of the record before and all of this one that precedes
const (
	recordHeader = 4 + 8 + 8 + 4 + 4
	macSize      = 32
	maxRecord    = recordHeader + maxBatch + MaxEntries*(2+4) + macSize
)

// macFunc is the store's keyed MAC; keystore.EngineConfig brings it.
type macFunc func(parts ...[]byte) [macSize]byte

// The first part of each MAC names the data that it is over.
var (
	labelSegment = []byte("strongroom/redo/segment")
	labelRecord  = []byte("strongroom/redo/record")
	labelEpoch   = []byte("strongroom/redo/epoch")
)

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

// redoSegment is a segment of the redo log. A segment of the redo log is a file; it is not an
// audit segment, which is a value in a batch. Its blocks are written before they are used, so that
// a commit syncs data and nothing else: no new length, no new blocks.
type redoSegment struct {
	name     string
	file     *os.File // nil if there is none yet
	uncached *direct  // writes past the system's cache; nil where that cannot be
	mac      macFunc

	valid bool // the header is whole
	head  segmentHead
	last  uint64        // the seq of the newest record
	chain [macSize]byte // its MAC, or the header's
	end   int64         // where the next record goes
	buf   []byte        // the record that is being written
}

// openRedoSegment opens a file of the log. It makes it only if create is set; without it
// the answer for an absent file is a segment without a file.
func openRedoSegment(dir, name string, mac macFunc, create bool) (*redoSegment, error) {
	flag := os.O_RDWR
	if create {
		flag |= os.O_CREATE
	}
	s := &redoSegment{name: name, mac: mac}
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

// begin puts a header into the segment, which needs no record that is in it any more,
// and returns once that is durable.
func (s *redoSegment) begin(dir string, head segmentHead) error {
	s.valid = false
	if s.file == nil {
		made, err := openRedoSegment(dir, s.name, s.mac, true)
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
func (s *redoSegment) ready() error {
	if err := s.uncached.close(); err != nil {
		return err
	}
	s.uncached = newDirect(s.file, s.end)
	return nil
}

// fill writes the whole file, empty, unless it has its size.
func (s *redoSegment) fill(dir string) error {
	info, err := s.file.Stat()
	if err != nil || info.Size() == segmentSize {
		return err
	}
	if _, err := s.file.WriteAt(make([]byte, segmentSize), 0); err != nil {
		return err
	}
	return errors.Join(s.file.Truncate(segmentSize), s.file.Sync(), osfile.SyncPath(dir))
}

// encode makes the batch's record, the next one. It lasts until encode is called again.
func (s *redoSegment) encode(b keystore.Batch) []byte {
	s.buf = appendRecord(s.buf[:0], position{s.head.epoch, s.last + 1}, b)
	sum := s.mac(labelRecord, s.chain[:], s.buf)
	s.buf = append(s.buf, sum[:]...)
	return s.buf
}

// appendRecord appends the record of a batch, but for its MAC. The batch must fit.
func appendRecord(dst []byte, at position, b keystore.Batch) []byte {
	be, start := binary.BigEndian, len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = be.AppendUint64(dst, at.epoch)
	dst = be.AppendUint64(dst, at.seq)
	dst = be.AppendUint32(dst, uint32(len(b.Put)))
	dst = be.AppendUint32(dst, uint32(len(b.Delete)))
	for _, p := range b.Put {
		dst = be.AppendUint16(dst, uint16(len(p.Key)))
		dst = be.AppendUint32(dst, uint32(len(p.Value)))
		dst = append(append(dst, p.Key...), p.Value...)
	}
	for _, k := range b.Delete {
		dst = be.AppendUint16(dst, uint16(len(k)))
		dst = append(dst, k...)
	}
	be.PutUint32(dst[start:], uint32(len(dst)-start+macSize))
	return dst
}

// hasRoom reports whether the batch's record has room before the end of the file.
func (s *redoSegment) hasRoom(b keystore.Batch) bool {
	n := recordHeader + b.Size() + 6*len(b.Put) + 2*len(b.Delete) + macSize
	return s.end+int64(n) <= segmentLimit
}

// append writes the record of the batch at the end of the log, and returns once it is
// durable. The sync covers a direct write too, because both descriptors are of one file.
// After an error it is not known whether the record is there.
func (s *redoSegment) append(b keystore.Batch) (err error) {
	record := s.encode(b)
	if s.uncached != nil {
		err = s.uncached.write(record, s.end)
	} else {
		_, err = s.file.WriteAt(record, s.end)
	}
	if err != nil {
		return err
	}
	if err := osfile.Datasync(s.file); err != nil {
		return err
	}
	s.last++
	s.end += int64(len(record))
	copy(s.chain[:], record[len(record)-macSize:])
	return nil
}

// newest is the position of the newest record.
func (s *redoSegment) newest() position { return position{s.head.epoch, s.last} }

func (s *redoSegment) close() error {
	if s == nil || s.file == nil {
		return nil
	}
	err := errors.Join(s.uncached.close(), s.file.Close())
	s.uncached, s.file = nil, nil
	return err
}

// blockSize is what direct writes are aligned to. It is no less than the logical
// block of any disk in common use.
const blockSize = 4096

// direct writes the redo log past the system's cache, in whole blocks, the last one
// filled up with zeros. A sync has nothing to write back then: it takes an eighth
// less time and a fifth less of the processor than one through the cache.
type direct struct {
	file *os.File
	buf  []byte // aligned; begins with what the block that is not full holds
}

// newDirect opens a segment once more, for direct writes (O_DIRECT) that begin at the offset
// end. It returns nil if the system, the file system or the disk has no direct writes. The
// block that contains end is part of the segment already, because segments are preallocated.
func newDirect(of *os.File, end int64) *direct {
	f, err := osfile.OpenDirect(of.Name())
	if err != nil {
		return nil
	}
	d := &direct{file: f, buf: alignedBlocks(8)}
	if _, err := f.ReadAt(d.buf[:blockSize], min(end, segmentSize-1)/blockSize*blockSize); err != nil || !same(of, f) {
		f.Close()
		return nil
	}
	return d
}

// same reports whether two open files are one.
func same(a, b *os.File) bool {
	one, errOne := a.Stat()
	two, errTwo := b.Stat()
	return errOne == nil && errTwo == nil && os.SameFile(one, two)
}

// write puts b at the offset at, where the last write ended or newDirect began.
func (d *direct) write(b []byte, at int64) error {
	held := int(at % blockSize)
	whole := (held + len(b) + blockSize - 1) / blockSize * blockSize
	d.grow(held, whole)
	end := held + copy(d.buf[held:], b)
	clear(d.buf[end:whole])
	if _, err := d.file.WriteAt(d.buf[:whole], at-int64(held)); err != nil {
		return err
	}
	copy(d.buf, d.buf[end/blockSize*blockSize:end])
	return nil
}

// grow makes room for n bytes, and keeps the first ones.
func (d *direct) grow(first, n int) {
	if n <= len(d.buf) {
		return
	}
	larger := alignedBlocks(n / blockSize)
	copy(larger, d.buf[:first])
	d.buf = larger
}

func (d *direct) close() error {
	if d == nil {
		return nil
	}
	return d.file.Close()
}

// alignedBlocks is memory for n blocks that begins where a block may. Go does not
// move it.
func alignedBlocks(n int) []byte {
	b := make([]byte, (n+1)*blockSize)
	before := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) % blockSize
	return b[before:][:n*blockSize]
}
