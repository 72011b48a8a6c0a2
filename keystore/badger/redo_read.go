package badger

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"io"

	"strongroom.example/keystore"
)

// readHead reads the header.
func (s *redoSegment) readHead() error {
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
func (s *redoSegment) each(upTo uint64, f func(r entry) error) error {
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

// cutRecord returns the record that b begins with, nil if there is none that is whole
// and follows the record whose MAC is chain.
func cutRecord(mac macFunc, chain [macSize]byte, b []byte) []byte {
	if len(b) < 4 {
		return nil
	}
	n := binary.BigEndian.Uint32(b)
	if n < recordHeader+macSize || n > maxRecord || int(n) > len(b) {
		return nil
	}
	record := b[:n:n]
	want := mac(labelRecord, chain[:], record[:n-macSize])
	if !hmac.Equal(want[:], record[n-macSize:]) {
		return nil
	}
	return record
}

// parseRecord reads a whole record and reports whether it is one. The batch is made of
// parts of the record.
func parseRecord(record []byte) (position, keystore.Batch, bool) {
	if len(record) < recordHeader+macSize {
		return position{}, keystore.Batch{}, false
	}
	r := reader{rest: record[4 : len(record)-macSize]}
	at := position{epoch: r.number(8), seq: r.number(8)}
	b, ok := r.batch()
	return at, b, ok
}

// batch reads a batch, which must be all that is left and fit.
func (r *reader) batch() (b keystore.Batch, ok bool) {
	puts, deletes := r.number(4), r.number(4)
	for range puts {
		key, value := r.number(2), r.number(4)
		b.Put = append(b.Put, keystore.Pair{Key: r.take(key), Value: r.take(value)})
		if r.short {
			break
		}
	}
	for range deletes {
		b.Delete = append(b.Delete, r.take(r.number(2)))
		if r.short {
			break
		}
	}
	return b, !r.short && len(r.rest) == 0 && fits(b) == nil
}

// reader takes fields from the front of a record. Once one is cut short, all that
// follow are empty.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.rest, r.short = nil, true
		return nil
	}
	field := r.rest[:n:n]
	r.rest = r.rest[n:]
	return field
}

// number reads a big-endian number of n bytes.
func (r *reader) number(n uint64) (v uint64) {
	for _, b := range r.take(n) {
		v = v<<8 | uint64(b)
	}
	return v
}
