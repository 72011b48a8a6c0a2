package journal

import (
	"bytes"
	"crypto/hmac"

	"strongroom.example/keystore/internal/keyring"
)

// A State is what the entries of a journal amount to.
type State struct {
	Whole   bool              // no damage was found before the end
	Records map[string][]byte // the sealed records, by engine key
	Deleted map[string]uint64 // the generation at which a record was deleted, by engine key
	End     End
}

// Scan reads a journal from b, and passes the sealed head of each entry to head. A damaged entry
// is passed over if the entry after it follows it, so that a single fault loses a single entry.
func Scan(k *keyring.Keyring, b []byte, head func(sealed []byte)) *State {
	s := &State{Records: map[string][]byte{}, Deleted: map[string]uint64{}}
	if len(b) < headerSize {
		return s
	}
	header, chain := b[:headerSize-32], b[headerSize-32:headerSize]
	want := headerMAC(k, header)
	s.Whole = bytes.HasPrefix(header, magic) && hmac.Equal(want[:], chain)
	s.End.Offset = headerSize
	copy(s.End.Chain[:], chain)
	for at := headerSize; ; {
		entry, ok := cutEntry(k, chain, b[at:])
		if !ok {
			next := skipEntry(k, b[at:])
			if next == 0 {
				return s
			}
			s.Whole = false
			at += next
			chain = b[at-32 : at]
			continue
		}
		at += len(entry)
		chain = entry[len(entry)-32:]
		if !s.add(entry[:len(entry)-32], head) {
			s.Whole = false
			continue
		}
		s.End.Offset = uint64(at)
		copy(s.End.Chain[:], chain)
	}
}

// add applies an entry. It returns false if the entry does not parse.
func (s *State) add(b []byte, head func(sealed []byte)) bool {
	e, ok := parseEntry(b)
	if !ok {
		return false
	}
	for _, p := range e.Put {
		s.Records[string(p.Key)] = p.Value
		delete(s.Deleted, string(p.Key))
	}
	for _, key := range e.Deleted {
		delete(s.Records, string(key))
		s.Deleted[string(key)] = e.Generation
	}
	s.End.Generation = e.Generation
	head(e.Head)
	return true
}
