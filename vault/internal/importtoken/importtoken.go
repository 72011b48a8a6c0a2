// Package importtoken makes and verifies import tokens. docs/formats.md specifies their bytes.
package importtoken

import (
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
	"strongroom.example/vault/internal/fault"
)

// Life is the lifetime of an import token.
const Life = 24 * time.Hour

const (
	magic    = "SRT\x01"
	bodySize = 4 + 4 + 16 + 16 + 8 + suite.HashSize
	single   = 1 // flag in a token
)

// Size is the length of a token in bytes.
const Size = bodySize + suite.HashSize

// A Token is the content of an import token. It binds a wrapping key to one CMK, one wrapping
// algorithm and an expiry. It is not secret, but only the vault can make one.
type Token struct {
	Key       [16]byte
	Serial    driver.MaterialID // of the wrapping key
	Algorithm byte
	Single    bool
	ValidTo   time.Time // in whole seconds
	Public    [suite.HashSize]byte
}

// An Authority computes the MACs of one vault's tokens.
type Authority struct {
	Suite suite.ID
	Vault [16]byte // its id
	Key   []byte   // of the MAC
}

// Seal encodes a token and appends its MAC.
func (a Authority) Seal(t Token) []byte {
	b := append(make([]byte, 0, Size), magic...)
	flags := byte(0)
	if t.Single {
		flags = single
	}
	b = append(b, byte(a.Suite), t.Algorithm, flags, 0)
	b = append(b, t.Key[:]...)
	b = append(b, t.Serial[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.ValidTo.Unix()))
	b = append(b, t.Public[:]...)
	mac := a.mac(b)
	return append(b, mac[:]...)
}

// Open verifies the MAC of a token and parses it. It returns ErrImportToken for every fault.
func (a Authority) Open(b []byte) (Token, error) {
	if len(b) != Size {
		return Token{}, fmt.Errorf("%w: not an import token", fault.ErrImportToken)
	}
	mac := a.mac(b[:bodySize])
	if !hmac.Equal(mac[:], b[bodySize:]) {
		return Token{}, fmt.Errorf("%w: not an import token of this vault", fault.ErrImportToken)
	}
	return parse(b[:bodySize]), nil
}

// parse parses a body whose MAC was verified.
func parse(b []byte) (t Token) {
	t.Algorithm, t.Single = b[5], b[6] == single
	copy(t.Key[:], b[8:])
	copy(t.Serial[:], b[24:])
	t.ValidTo = time.Unix(int64(binary.BigEndian.Uint64(b[40:])), 0).UTC()
	copy(t.Public[:], b[48:])
	return t
}

// mac returns the MAC of a token's body, which also covers the vault's id.
func (a Authority) mac(body []byte) [suite.HashSize]byte {
	return a.Suite.MAC(a.Key, a.Vault[:], body)
}
