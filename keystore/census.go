package keystore

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"strongroom.example/internal/suite"
)

// entry is the census's knowledge of one record.
type entry struct {
	version uint64
	hash    [32]byte
	class   Class
	epoch   uint32
}

// census has an entry for each mutable record, so a missing, added or older record is
// detected. The head contains its digest: the XOR of a keyed MAC of each entry, so that
// the cost of a change does not depend on the number of records. XOR is sound here
// because entries are distinct by path and the MACs never leave the store.
type census struct {
	entries map[string]entry
	digest  [32]byte
}

func newCensus() *census { return &census{entries: map[string]entry{}} }

// toggle adds an entry to a digest, or removes one that was added.
func toggle(digest *[32]byte, k *keyring, path string, e entry) {
	var n [10]byte
	binary.BigEndian.PutUint16(n[:], uint16(len(path)))
	binary.BigEndian.PutUint64(n[2:], e.version)
	mac := k.suite.MAC(k.censusKey(), n[:], []byte(path), e.hash[:])
	for i := range digest {
		digest[i] ^= mac[i]
	}
}

func (c *census) paths(prefix string) []string {
	var out []string
	for p := range c.entries {
		if strings.HasPrefix(p, prefix) {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

// takeCensus opens every mutable record, enters it into c and compares the result with
// the head.
func (s *Store) takeCensus(ctx context.Context, c *census) error {
	var after []byte
	var o sealer
	for {
		pairs, err := s.engine.Scan(ctx, []byte{prefixRecord}, after, 256)
		if err != nil {
			return err
		}
		for _, p := range pairs {
			id, path, value, err := o.open(s.keys, p.Key, p.Value)
			suite.Wipe(value) // every record passes here, and its value is not used
			if err != nil || id.class > Material || !bytes.Equal(p.Key, s.keys.engineKey(path)) {
				return fmt.Errorf("%w: the record under engine key %x does not open", ErrCorrupt, p.Key)
			}
			e := entry{id.version, s.keys.suite.Hash(p.Value), id.class, id.epoch}
			c.entries[path] = e
			toggle(&c.digest, s.keys, path, e)
			after = p.Key
		}
		if len(pairs) == 0 {
			break
		}
	}
	return s.compareCensus(c)
}

// compareCensus compares a complete census with the head. The head has only a digest, so
// the error names a record that does not belong to the store, but cannot name one that is
// missing or older.
func (s *Store) compareCensus(c *census) error {
	got, want := uint64(len(c.entries)), s.head.count
	if got == want && c.digest == s.head.digest {
		return nil
	}
	for path, e := range c.entries {
		without := c.digest
		toggle(&without, s.keys, path, e)
		if without == s.head.digest || e.version > s.head.generation {
			return fmt.Errorf("%w: census: record %q does not belong to the store", ErrCorrupt, path)
		}
	}
	if got != want {
		return fmt.Errorf("%w: census: %d records, the head counts %d", ErrCorrupt, got, want)
	}
	return fmt.Errorf("%w: census: a record is not the one last written", ErrCorrupt)
}
