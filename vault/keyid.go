package vault

import (
	"encoding/hex"
	"strings"
)

// A CMK's id is 16 random bytes, written as a version 4 UUID (RFC 9562).

// formatKeyID writes an id.
func formatKeyID(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// parseKeyID reads an id; false if s is not one.
func parseKeyID(s string) (id [16]byte, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, false
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != len(id) {
		return id, false
	}
	copy(id[:], b)
	return id, formatKeyID(id) == s
}

// newKeyID makes an id of random bytes.
func newKeyID(random [16]byte) string {
	random[6] = random[6]&0x0f | 0x40
	random[8] = random[8]&0x3f | 0x80
	return formatKeyID(random)
}
