package badger

import (
	"encoding/binary"
	"hash/crc32"

	"strongroom.example/keystore"
)

// A record is one batch in the redo log:
//
//	length u32, of the whole record | CRC-32C u32, of all but itself | epoch u64 | seq u64 |
//	puts u32 | deletes u32 |
//	each put: key length u16, value length u32, key, value | each delete: key length u16, key
const (
	recordHeader = 4 + 4 + 8 + 8 + 4 + 4
	maxRecord    = recordHeader + maxBatch + MaxEntries*(2+4)
)

// appendRecord appends the record of a batch. The batch must fit.
func appendRecord(dst []byte, at position, b keystore.Batch) []byte {
	be, start := binary.BigEndian, len(dst)
	dst = append(dst, make([]byte, 8)...)
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
	r := dst[start:]
	be.PutUint32(r, uint32(len(r)))
	be.PutUint32(r[4:], checksum(r))
	return dst
}

// checksum is that of a record but for the field of the checksum itself.
func checksum(record []byte) uint32 {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(record[:4], castagnoli), castagnoli, record[8:])
}

// recordLength is the length that a record's first bytes tell, if it can be one.
func recordLength(b []byte) (int, bool) {
	if len(b) < 4 {
		return 0, false
	}
	n := binary.BigEndian.Uint32(b)
	return int(n), n >= recordHeader && n <= maxRecord
}

// parseRecord reads a whole record, and tells whether it is one. The batch is made
// of parts of the record.
func parseRecord(record []byte) (position, keystore.Batch, bool) {
	n, ok := recordLength(record)
	if !ok || n != len(record) || binary.BigEndian.Uint32(record[4:]) != checksum(record) {
		return position{}, keystore.Batch{}, false
	}
	r := reader{rest: record[8:]}
	at := position{epoch: r.number(8), seq: r.number(8)}
	puts, deletes := r.number(4), r.number(4)
	var b keystore.Batch
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
	return at, b, !r.short && len(r.rest) == 0 && fits(b) == nil
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
