package keystore

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"strongroom.example/internal/suite"
)

// Class determines which epoch key seals a record.
type Class uint8

const (
	// Meta records are sealed under the record key of their epoch, which is kept.
	Meta Class = iota
	// Material records are sealed under the material key of their epoch, which
	// ChangeEpoch and Rekey destroy.
	Material

	classLog  Class = 2
	classHead Class = 3
)

// Record is one mutable record. Version is the generation of the store at which it was
// last written; it grows with each batch that changes the record. Operations in the same
// batch share it.
type Record struct {
	Path    string
	Version uint64
	Value   []byte
}

const (
	recordFormat = 1
	recordHeader = 1 + 1 + 1 + 4 + 8 + 16
	// MaxValue is the largest value of a record, in bytes.
	MaxValue = 32 << 10
	// MaxPath is the longest path, in bytes.
	MaxPath = 512

	// The log comes first in key order, and the records that change in place after it. An
	// engine that keeps sorted tables then merges new tables with the end of its data
	// only.
	prefixLog    = 'a'
	keyHead      = "h"
	prefixRecord = 'r'
)

// recordID is the data, besides the engine key, to which a sealed record is bound.
type recordID struct {
	class   Class
	epoch   uint32
	version uint64
}

// unsealed is a record with its engine key, before it is sealed.
type unsealed struct {
	redacted
	id    recordID
	at    []byte
	path  string
	value []byte
}

// sealer seals and opens records. It holds only scratch space, and is not safe for
// concurrent use.
type sealer struct {
	redacted
	plain, bound []byte
	key          []byte // on the heap, because a growing stack would leave copies
}

// engineKey returns the engine key of the record at path.
func (k *keyring) engineKey(path string) []byte {
	mac := k.suite.MAC(k.pathKey(), []byte(path))
	return append(append(make([]byte, 0, 33), prefixRecord), mac[:]...)
}

// seal appends the sealed record to dst. It wipes its plaintext and the record's key.
func (s *sealer) seal(dst []byte, k *keyring, r unsealed) ([]byte, error) {
	start := len(dst)
	dst = append(dst, recordFormat, byte(k.suite), byte(r.id.class))
	dst = binary.BigEndian.AppendUint32(dst, r.id.epoch)
	dst = binary.BigEndian.AppendUint64(dst, r.id.version)
	dst = append(dst, make([]byte, 16)...)
	rand.Read(dst[start+15 : start+recordHeader])
	if err := s.deriveKey(k, r.id, r.at, dst[start:]); err != nil {
		return nil, err
	}
	s.plain = binary.BigEndian.AppendUint16(s.plain[:0], uint16(len(r.path)))
	s.plain = append(append(s.plain, r.path...), r.value...)
	s.bound = append(append(s.bound[:0], dst[start:]...), r.at...)
	dst, err := k.suite.Seal(dst, s.key[:k.suite.KeySize()], s.plain, s.bound)
	s.wipe()
	return dst, err
}

// open authenticates and decrypts a sealed record, and returns its id, path and value.
// The caller owns the value and wipes it if it is secret.
func (s *sealer) open(k *keyring, at, sealed []byte) (recordID, string, []byte, error) {
	id, err := parseRecordID(k.suite, sealed)
	if err != nil {
		return id, "", nil, err
	}
	header := sealed[:recordHeader]
	if err := s.deriveKey(k, id, at, header); err != nil {
		return id, "", nil, err
	}
	s.bound = append(append(s.bound[:0], header...), at...)
	plain, err := k.suite.Open(nil, s.key[:k.suite.KeySize()], sealed[recordHeader:], s.bound)
	s.wipe()
	if err != nil {
		return id, "", nil, ErrCorrupt
	}
	n := 2
	if len(plain) >= 2 {
		n += int(binary.BigEndian.Uint16(plain))
	}
	if n > len(plain) {
		return id, "", nil, ErrCorrupt
	}
	return id, string(plain[2:n]), plain[n:], nil
}

func parseRecordID(want suite.ID, sealed []byte) (recordID, error) {
	if len(sealed) < recordHeader+suite.Overhead+2 || sealed[0] != recordFormat || sealed[1] != byte(want) {
		return recordID{}, ErrCorrupt
	}
	return recordID{
		class:   Class(sealed[2]),
		epoch:   binary.BigEndian.Uint32(sealed[3:]),
		version: binary.BigEndian.Uint64(sealed[7:]),
	}, nil
}

// deriveKey sets s.key to the record's own key: a KDF, under the epoch key, over its
// engine key and header.
func (s *sealer) deriveKey(k *keyring, id recordID, at, header []byte) error {
	epochKey := k.key(id.epoch, id.class)
	if epochKey == nil {
		return fmt.Errorf("%w: sealed under an epoch without a key", ErrCorrupt)
	}
	s.bound = append(append(s.bound[:0], at...), header...)
	if s.key == nil {
		s.key = suite.NewSecret(keySize)
	}
	k.suite.KDF(s.key[:k.suite.KeySize()], epochKey, "strongroom/record", s.bound)
	return nil
}

func (s *sealer) wipe() {
	suite.Wipe(s.key)
	suite.Wipe(s.plain)
}
