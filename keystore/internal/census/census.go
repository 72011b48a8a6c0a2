// Package census has the list of all mutable records, by which a record that is missing, added or
// older is detected.
package census

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"strongroom.example/internal/suite"
	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/record"
)

// An Entry is what the census knows of one record.
type Entry struct {
	Version uint64
	Hash    [32]byte // of the sealed record
	Class   keyring.Class
	Epoch   uint32
}

// A Change is the change that a batch makes to an entry.
type Change struct {
	Entry
	Deleted bool
}

// A Census has an entry for each mutable record, by path. The head contains its digest: the XOR of
// a keyed MAC of each entry, so that the cost of a change does not depend on the number of
// records. XOR is sound here because entries are distinct by path and the MACs never leave the
// store.
type Census struct {
	Entries map[string]Entry
	Digest  [32]byte
}

// New returns a census without entries, and with room for some.
func New(size uint64) *Census { return &Census{Entries: make(map[string]Entry, size)} }

// toggle adds an entry to a digest, or removes one that was added.
func toggle(digest *[32]byte, k *keyring.Keyring, path string, e Entry) {
	var n [10]byte
	binary.BigEndian.PutUint16(n[:], uint16(len(path)))
	binary.BigEndian.PutUint64(n[2:], e.Version)
	mac := k.MAC(keyring.Census, n[:], []byte(path), e.Hash[:])
	for i := range digest {
		digest[i] ^= mac[i]
	}
}

// Count returns the number of entries.
func (c *Census) Count() uint64 { return uint64(len(c.Entries)) }

// Paths lists the paths that start with prefix, sorted.
func (c *Census) Paths(prefix string) []string {
	var out []string
	for p := range c.Entries {
		if strings.HasPrefix(p, prefix) {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

// After returns the digest and the count that the census has once changes are applied.
func (c *Census) After(k *keyring.Keyring, changes map[string]Change) (digest [32]byte, count uint64) {
	digest, count = c.Digest, c.Count()
	for path, p := range changes {
		if old, ok := c.Entries[path]; ok {
			toggle(&digest, k, path, old)
			count--
		}
		if !p.Deleted {
			toggle(&digest, k, path, p.Entry)
			count++
		}
	}
	return digest, count
}

// A Part is what some records add to a census.
type Part struct {
	paths   []string
	entries []Entry
	digest  [32]byte // of these entries alone
}

// Take opens a record and adds its entry. It returns ErrCorrupt if the record does not open or has
// another engine key than that of its path.
func (p *Part) Take(k *keyring.Keyring, key, sealed []byte) error {
	id, path, value, err := record.Open(k, key, sealed)
	suite.Wipe(value) // every record passes here, and its value is not used
	if err != nil || id.Class > keyring.Material || string(key) != string(record.Key(k, path)) {
		return fmt.Errorf("%w: the record under engine key %x does not open", fault.ErrCorrupt, key)
	}
	e := Entry{id.Version, k.Suite().Sum(sealed), id.Class, id.Epoch}
	toggle(&p.digest, k, path, e)
	p.paths, p.entries = append(p.paths, path), append(p.entries, e)
	return nil
}

// Add enters a part.
func (c *Census) Add(p Part) {
	for i, path := range p.paths {
		c.Entries[path] = p.entries[i]
	}
	for i := range c.Digest {
		c.Digest[i] ^= p.digest[i]
	}
}

// Compare returns ErrCorrupt unless the census has a digest and a count, which are of a head at
// generation. The head has only a digest, so the error names a record that does not belong to the
// store, but cannot name one that is missing or older.
func (c *Census) Compare(k *keyring.Keyring, digest [32]byte, count, generation uint64) error {
	if c.Count() == count && c.Digest == digest {
		return nil
	}
	for path, e := range c.Entries {
		without := c.Digest
		toggle(&without, k, path, e)
		if without == digest || e.Version > generation {
			return fmt.Errorf("%w: census: record %q does not belong to the store", fault.ErrCorrupt, path)
		}
	}
	if c.Count() != count {
		return fmt.Errorf("%w: census: %d records, the head counts %d", fault.ErrCorrupt, c.Count(), count)
	}
	return fmt.Errorf("%w: census: a record is not the one last written", fault.ErrCorrupt)
}
