package keystore

import (
	"encoding/binary"
	"slices"
	"strings"
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
