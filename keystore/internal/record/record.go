// Package record seals the records of the store, each under a key of its own, and has the keys
// under which the engine keeps them. A record here is a path with its value, the head, or an
// audit segment, which holds several records of the audit log. docs/formats.md specifies the
// bytes.
package record

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"

	"strongroom.example/internal/redact"
	"strongroom.example/internal/suite"
	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/keyring"
)

const (
	format     = 1
	headerSize = 1 + 1 + 1 + 4 + 8 + 16
	keyLength  = 1 + 32
	// Overhead is the number of bytes that sealing adds to a record's path and value,
	// including its engine key.
	Overhead = keyLength + headerSize + suite.Overhead + 2
)

// The log comes first in the order of the engine's keys, and the records that change in place
// after it. An engine that keeps sorted tables then merges new tables with the end of its data
// only.
const (
	// LogPrefix begins the keys of the audit segments.
	LogPrefix = 'a'
	// HeadKey is the key of the head.
	HeadKey = "h"
	// Prefix begins the keys of the mutable records.
	Prefix = 'r'
)

// Key returns the engine key of the mutable record at path.
func Key(k *keyring.Keyring, path string) []byte {
	mac := k.MAC(keyring.Paths, []byte(path))
	return append(append(make([]byte, 0, keyLength), Prefix), mac[:]...)
}

// LogKey returns the engine key of the segment whose last leaf is seq. A scan that begins
// after LogKey(seq-1) therefore finds the segment that holds seq.
func LogKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 9), LogPrefix), seq)
}

// An ID is the data, besides the engine key, to which a sealed record is bound.
type ID struct {
	Class   keyring.Class
	Epoch   uint32
	Version uint64
}

// Plain is a record with its engine key, before it is sealed under the current epoch of its
// class.
type Plain struct {
	redacted
	Class keyring.Class
	// Version is the generation of the batch that put the record; sealing it again for a new
	// epoch keeps it. For an audit segment it is the sequence number of the first leaf.
	Version uint64
	Key     []byte
	Path    string
	Value   []byte
}

// scratch is the memory in which one record is sealed or opened. Between two records it holds
// no secret.
type scratch struct {
	redacted
	plain, bound []byte
	key          []byte // on the heap, because a growing stack would leave copies
}

var scratches = sync.Pool{New: func() any { return &scratch{key: suite.NewSecret(keyring.KeySize)} }}

func (s *scratch) release() {
	suite.Wipe(s.key)
	suite.Wipe(s.plain)
	s.plain = s.plain[:0]
	scratches.Put(s)
}

// Seal appends the sealed record to dst. It wipes its own copies of the plaintext and of the
// record's key.
func Seal(dst []byte, k *keyring.Keyring, r Plain) ([]byte, error) {
	s := scratches.Get().(*scratch)
	defer s.release()
	id := ID{r.Class, k.Current(r.Class), r.Version}
	start := len(dst)
	dst = append(dst, format, byte(k.Suite()), byte(id.Class))
	dst = binary.BigEndian.AppendUint32(dst, id.Epoch)
	dst = binary.BigEndian.AppendUint64(dst, id.Version)
	dst = append(dst, make([]byte, 16)...)
	rand.Read(dst[start+15 : start+headerSize])
	if err := s.deriveKey(k, id, r.Key, dst[start:]); err != nil {
		return nil, err
	}
	s.plain = binary.BigEndian.AppendUint16(s.plain[:0], uint16(len(r.Path)))
	s.plain = append(append(s.plain, r.Path...), r.Value...)
	s.bound = append(append(s.bound[:0], dst[start:]...), r.Key...)
	return k.Suite().Seal(dst, s.key[:k.Suite().KeySize()], s.plain, s.bound)
}

// Open authenticates and decrypts the record under engine key at, and returns its id, path and
// value. The caller owns the value and wipes it if it is secret.
func Open(k *keyring.Keyring, at, sealed []byte) (ID, string, []byte, error) {
	id, err := ParseID(k.Suite(), sealed)
	if err != nil {
		return id, "", nil, err
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	header := sealed[:headerSize]
	if err := s.deriveKey(k, id, at, header); err != nil {
		return id, "", nil, err
	}
	s.bound = append(append(s.bound[:0], header...), at...)
	plain, err := k.Suite().Open(nil, s.key[:k.Suite().KeySize()], sealed[headerSize:], s.bound)
	if err != nil {
		return id, "", nil, fault.ErrCorrupt
	}
	n := 2
	if len(plain) >= 2 {
		n += int(binary.BigEndian.Uint16(plain))
	}
	if n > len(plain) {
		return id, "", nil, fault.ErrCorrupt
	}
	return id, string(plain[2:n]), plain[n:], nil
}

// ParseID reads the header of a sealed record. Only Open authenticates it.
func ParseID(want suite.ID, sealed []byte) (ID, error) {
	if len(sealed) < headerSize+suite.Overhead+2 || sealed[0] != format || sealed[1] != byte(want) {
		return ID{}, fault.ErrCorrupt
	}
	return ID{
		Class:   keyring.Class(sealed[2]),
		Epoch:   binary.BigEndian.Uint32(sealed[3:]),
		Version: binary.BigEndian.Uint64(sealed[7:]),
	}, nil
}

// deriveKey sets s.key to the record's own key: a KDF, under the epoch key, over its
// engine key and header.
func (s *scratch) deriveKey(k *keyring.Keyring, id ID, at, header []byte) error {
	epochKey := k.Key(id.Epoch, id.Class)
	if epochKey == nil {
		return fmt.Errorf("%w: sealed under an epoch without a key", fault.ErrCorrupt)
	}
	s.bound = append(append(s.bound[:0], at...), header...)
	k.Suite().KDF(s.key[:k.Suite().KeySize()], epochKey, "strongroom/record", s.bound)
	return nil
}

// redacted, when embedded, keeps a type from printing its contents.
type redacted = redact.Secret
