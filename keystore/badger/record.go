package badger

import (
	"crypto/hmac"
	"encoding/binary"

	"strongroom.example/keystore"
)

// A record is one batch in the redo log:
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

// The first part of each MAC tells what it is over.
var (
	labelSegment = []byte("strongroom/redo/segment")
	labelRecord  = []byte("strongroom/redo/record")
	labelEpoch   = []byte("strongroom/redo/epoch")
)

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
