package vault

import (
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

const (
	// tokenLife is the lifetime of an import token.
	tokenLife = 24 * time.Hour

	tokenMagic  = "SRT\x01"
	tokenBody   = 4 + 4 + 16 + 16 + 8 + suite.HashSize
	tokenSize   = tokenBody + suite.HashSize
	tokenSingle = 1 // flag in a token
)

// token is the content of an import token. It binds a wrapping key to one CMK, one wrapping
// algorithm and an expiry. It is not secret, but only the vault can make one.
// docs/formats.md specifies the bytes.
type token struct {
	key       [16]byte
	serial    driver.MaterialID
	algorithm byte
	single    bool
	validTo   time.Time // in whole seconds
	public    [suite.HashSize]byte
}

// sealToken encodes a token and appends its MAC.
func (v *Vault) sealToken(t token) []byte {
	b := append(make([]byte, 0, tokenSize), tokenMagic...)
	flags := byte(0)
	if t.single {
		flags = tokenSingle
	}
	b = append(b, byte(v.suite), t.algorithm, flags, 0)
	b = append(b, t.key[:]...)
	b = append(b, t.serial[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.validTo.Unix()))
	b = append(b, t.public[:]...)
	mac := v.tokenMAC(b)
	return append(b, mac[:]...)
}

// openToken verifies the MAC of a token and parses it. It returns ErrImportToken for every
// fault.
func (v *Vault) openToken(b []byte) (token, error) {
	if len(b) != tokenSize {
		return token{}, fmt.Errorf("%w: this is no import token", ErrImportToken)
	}
	mac := v.tokenMAC(b[:tokenBody])
	if !hmac.Equal(mac[:], b[tokenBody:]) {
		return token{}, fmt.Errorf("%w: this is no import token of this vault", ErrImportToken)
	}
	return parseToken(b[:tokenBody]), nil
}

// parseToken parses a body whose MAC was verified.
func parseToken(b []byte) (t token) {
	t.algorithm, t.single = b[5], b[6] == tokenSingle
	copy(t.key[:], b[8:])
	copy(t.serial[:], b[24:])
	t.validTo = time.Unix(int64(binary.BigEndian.Uint64(b[40:])), 0).UTC()
	copy(t.public[:], b[48:])
	return t
}

// tokenMAC returns the MAC of a token's body, which also covers the vault's id.
func (v *Vault) tokenMAC(body []byte) [suite.HashSize]byte {
	return v.suite.MAC(v.secrets.token(), v.id[:], body)
}
