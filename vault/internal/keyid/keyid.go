// Package keyid formats and parses the ids of CMKs: 16 random bytes, written as a version 4
// UUID (RFC 9562).
package keyid

import "encoding/hex"

// idGroups are the byte ranges of an id between its hyphens.
var idGroups = [...][2]int{{0, 4}, {4, 6}, {6, 8}, {8, 10}, {10, 16}}

// Format formats an id.
func Format(id [16]byte) string {
	b := make([]byte, 0, 36)
	for i, g := range idGroups {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, id[g[0]:g[1]])
	}
	return string(b)
}

// Parse parses an id. It accepts only the form of Format.
func Parse(s string) (id [16]byte, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, false
	}
	var digits [32]byte
	n := 0
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
		case '0' <= c && c <= '9' || 'a' <= c && c <= 'f':
			digits[n] = c
			n++
		default:
			return id, false
		}
	}
	_, err := hex.Decode(id[:], digits[:])
	return id, err == nil
}

// New makes an id of random bytes.
func New(random [16]byte) string {
	random[6] = random[6]&0x0f | 0x40
	random[8] = random[8]&0x3f | 0x80
	return Format(random)
}
