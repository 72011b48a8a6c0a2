package audit

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"strongroom.example/internal/suite"
)

// The prefixes of the public key in a verifier key, which identify its kind. C2SP
// signed-note assigns a number to Ed25519, and the byte ff followed by a name to kinds
// without a number.
const (
	ed25519Kind = "\x01"
	sm2Kind     = "\xffstrongroom/sm2-sm3"
)

// verifier is a log's public key. It implements note.Verifier.
type verifier struct {
	suite  suite.ID // the suite whose signature it verifies
	origin string
	public []byte
}

// newVerifier parses a verifier key: origin+key id+base64 of kind and public key. It
// returns ErrKey if vkey is not in the form that String returns.
func newVerifier(vkey string) (*verifier, error) {
	origin, rest, _ := strings.Cut(vkey, "+")
	_, encoded, _ := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) == 0 {
		return nil, fmt.Errorf("%w: a verifier key is origin+key id+base64", ErrKey)
	}
	v := &verifier{origin: origin}
	switch {
	case strings.HasPrefix(string(key), ed25519Kind):
		v.suite, v.public = suite.AES, key[len(ed25519Kind):]
	case strings.HasPrefix(string(key), sm2Kind):
		v.suite, v.public = suite.SM, key[len(sm2Kind):]
	default:
		return nil, fmt.Errorf("%w: a verifier key of kind %#02x is neither Ed25519 nor SM2", ErrKey, key[0])
	}
	if err := v.check(); err != nil {
		return nil, err
	}
	if v.String() != vkey {
		return nil, fmt.Errorf("%w: the verifier key's id does not fit the rest", ErrKey)
	}
	return v, nil
}

// check returns ErrKey for an origin that a signed note does not allow, and for an
// invalid public key.
func (v *verifier) check() error {
	if v.origin == "" || !utf8.ValidString(v.origin) || strings.ContainsRune(v.origin, '+') || strings.ContainsFunc(v.origin, unprintable) {
		return fmt.Errorf("%w: the origin %q is empty, or has a space, a control character or a plus sign", ErrKey, v.origin)
	}
	if err := v.suite.CheckPublicKey(v.public); err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	return nil
}

func unprintable(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

// encoded returns the kind followed by the public key.
func (v *verifier) encoded() []byte {
	if v.suite == suite.SM {
		return append([]byte(sm2Kind), v.public...)
	}
	return append([]byte(ed25519Kind), v.public...)
}

// String returns the verifier key in the form that newVerifier parses.
func (v *verifier) String() string {
	return fmt.Sprintf("%s+%08x+%s", v.origin, v.KeyHash(), base64.StdEncoding.EncodeToString(v.encoded()))
}

// Name returns the origin.
func (v *verifier) Name() string { return v.origin }

// KeyHash returns the key id of C2SP signed-note, computed with the hash of the suite:
// SM3 for an SM2 key.
func (v *verifier) KeyHash() uint32 {
	sum := v.suite.Hash([]byte(v.origin), []byte("\n"), v.encoded())
	return binary.BigEndian.Uint32(sum[:])
}

// Verify implements note.Verifier.
func (v *verifier) Verify(msg, sig []byte) bool { return v.suite.Verify(v.public, msg, sig) }
