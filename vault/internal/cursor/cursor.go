// Package cursor makes the tokens with which a list is continued. A token names a position,
// and is bound to the list that it continues. It is not secret and holds no state of the
// vault, so it does not expire.
package cursor

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// ErrToken reports that a token was not made for this list.
var ErrToken = errors.New("the token was not made for this list")

// A MAC computes a keyed hash over the concatenation of its arguments.
type MAC func(parts ...[]byte) [32]byte

const (
	format  = 1
	macSize = 16
)

// Seal returns the token of a position in the list that scope describes. Its characters are
// letters, digits, - and _.
func Seal(mac MAC, scope, position []byte) string {
	b := append([]byte{format}, position...)
	sum := mac(bound(scope), b)
	return base64.RawURLEncoding.EncodeToString(append(b, sum[:macSize]...))
}

// Open returns the position of a token. It returns ErrToken for every fault of the token, and
// if the token was made with another key or for another scope.
func Open(mac MAC, scope []byte, token string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	// The decoder skips line ends and unused bits; a token has one form.
	if err != nil || base64.RawURLEncoding.EncodeToString(b) != token || len(b) < 1+macSize || b[0] != format {
		return nil, ErrToken
	}
	body, given := b[:len(b)-macSize], b[len(b)-macSize:]
	sum := mac(bound(scope), body)
	if !hmac.Equal(sum[:macSize], given) {
		return nil, ErrToken
	}
	return body[1:], nil
}

// bound returns scope with its length, so that it cannot run into the position.
func bound(scope []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(scope))), scope...)
}
