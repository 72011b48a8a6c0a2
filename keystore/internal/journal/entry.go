package journal

import (
	"crypto/hmac"
	"encoding/binary"

	"strongroom.example/keystore/internal/fields"
	"strongroom.example/keystore/internal/keyring"
)

const (
	entryHeader = 4 + 8 + 4 + 4
	// maxEntry bounds an entry: a whole batch, or a part of a snapshot.
	maxEntry = 1 << 20
)

// A Pair is the engine key of a record and the sealed record.
type Pair struct{ Key, Value []byte }

// An Entry has the changes of records by a batch, and the sealed head of the batch.
type Entry struct {
	Generation uint64
	Put        []Pair
	Deleted    [][]byte
	Head       []byte
}

// Empty reports whether no record is changed.
func (e *Entry) Empty() bool { return len(e.Put)+len(e.Deleted) == 0 }

// appendEntry appends an entry that follows the one whose MAC is chain.
func appendEntry(dst []byte, k *keyring.Keyring, chain [32]byte, e Entry) []byte {
	be, start := binary.BigEndian, len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = be.AppendUint64(dst, e.Generation)
	dst = be.AppendUint32(dst, uint32(len(e.Put)))
	dst = be.AppendUint32(dst, uint32(len(e.Deleted)))
	for _, p := range e.Put {
		dst = be.AppendUint16(dst, uint16(len(p.Key)))
		dst = be.AppendUint32(dst, uint32(len(p.Value)))
		dst = append(append(dst, p.Key...), p.Value...)
	}
	for _, key := range e.Deleted {
		dst = be.AppendUint16(dst, uint16(len(key)))
		dst = append(dst, key...)
	}
	dst = be.AppendUint16(dst, uint16(len(e.Head)))
	dst = append(dst, e.Head...)
	be.PutUint32(dst[start:], uint32(len(dst)-start+32))
	mac := entryMAC(k, chain[:], dst[start:])
	return append(dst, mac[:]...)
}

func entryMAC(k *keyring.Keyring, chain, entry []byte) [32]byte {
	return k.MAC(keyring.Journal, []byte("entry"), chain, entry)
}

// parseEntry parses an entry without its MAC. It does not copy.
func parseEntry(b []byte) (e Entry, ok bool) {
	r := fields.NewReader(b)
	r.Bytes(4, 4)
	e.Generation = r.Uint(8)
	puts, deletes := r.Uint(4), r.Uint(4)
	for range puts {
		key, value := int(r.Uint(2)), int(r.Uint(4))
		e.Put = append(e.Put, Pair{r.Bytes(key, maxEntry), r.Bytes(value, maxEntry)})
		if r.Bad() {
			return e, false
		}
	}
	for range deletes {
		e.Deleted = append(e.Deleted, r.Bytes(int(r.Uint(2)), maxEntry))
		if r.Bad() {
			return e, false
		}
	}
	e.Head = r.Bytes(int(r.Uint(2)), maxEntry)
	return e, r.Done()
}

// cutEntry returns the entry that b begins with, if it follows the one whose MAC is chain.
func cutEntry(k *keyring.Keyring, chain, b []byte) ([]byte, bool) {
	n := entryLength(b)
	if n == 0 {
		return nil, false
	}
	mac := entryMAC(k, chain, b[:n-32])
	return b[:n:n], hmac.Equal(mac[:], b[n-32:n])
}

// entryLength returns the length that the entry at the front of b claims to have, and 0 if
// it is not possible.
func entryLength(b []byte) int {
	if len(b) < entryHeader {
		return 0
	}
	n := entrySize(b)
	if n > len(b) {
		return 0
	}
	return n
}

// entrySize returns the length that the entry with this header claims to have, and 0 if no
// entry has that.
func entrySize(header []byte) int {
	n := int64(binary.BigEndian.Uint32(header))
	if n < entryHeader+2+32 || n > maxEntry {
		return 0
	}
	return int(n)
}

// skipEntry returns the length of the damaged entry that b begins with, or 0 if no entry
// follows it.
func skipEntry(k *keyring.Keyring, b []byte) int {
	n := entryLength(b)
	if n == 0 {
		return 0
	}
	if _, ok := cutEntry(k, b[n-32:n], b[n:]); !ok {
		return 0
	}
	return n
}
