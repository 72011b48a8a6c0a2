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

// entry is what the census knows of one record.
type entry struct {
	version uint64
	hash    [32]byte
	class   Class
	epoch   uint32
}

// census knows every mutable record: a missing, added or older one does not
// match it. Its digest stands in the head: the XOR of a keyed MAC of each
// entry, so that a change costs the same at any size. Entries are distinct by
// path, and the MACs never leave the store, so XOR loses nothing.
type census struct {
	entries map[string]entry
	digest  [32]byte
}

func newCensus() *census { return &census{entries: map[string]entry{}} }

// toggle adds an entry to a digest, or takes it away.
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

// takeCensus opens every mutable record into c and compares with the head.
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
			suite.Wipe(value) // all records pass here, and nobody reads them
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

// compareCensus holds a census that was taken against the head. Of a fault it
// tells what can be told: the head has a digest only, so a record that does not
// belong can be named, one that is missing or older cannot.
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
