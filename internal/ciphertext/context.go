package ciphertext

import (
	"encoding/binary"
	"maps"
	"slices"
	"unicode/utf8"
)

// CanonicalContext returns the canonical encoding of an encryption context: u16be count,
// then for each pair, in byte order of the names, u16be length ‖ name ‖ u16be length ‖
// value. nil and empty have the same encoding. A context that is not UTF-8, has an empty
// name, or is longer than MaxContext is ErrContext.
func CanonicalContext(pairs map[string]string) ([]byte, error) {
	size := 2
	for name, value := range pairs {
		if name == "" || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, ErrContext
		}
		size += 4 + len(name) + len(value)
	}
	if size > MaxContext { // therefore every count and length fits into 16 bits
		return nil, ErrContext
	}
	dst := binary.BigEndian.AppendUint16(make([]byte, 0, size), uint16(len(pairs)))
	if len(pairs) == 0 {
		return dst, nil
	}
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		dst = appendString(dst, name)
		dst = appendString(dst, pairs[name])
	}
	return dst, nil
}

func appendString(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}
