// Package webapi has what the packages that serve a vault through the API of a cloud service
// have in common: they read a signed request with a JSON object, and write a response that may
// hold plaintext.
package webapi

import (
	"crypto/rand"
	"encoding/hex"
)

// NewRequestID returns a version 4 UUID (RFC 9562).
func NewRequestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	id := make([]byte, 0, 36)
	for i, part := range [][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
		if i > 0 {
			id = append(id, '-')
		}
		id = hex.AppendEncode(id, part)
	}
	return string(id)
}
