package pkcs11

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/object"
	"strongroom.example/internal/suite"
)

// A blob is header ‖ sealed root. Protect makes format 2:
//
//	header = "SRK" ‖ 02 ‖ method ‖ key id ‖ length of rest u16be ‖ rest ‖ check
//
// rest is a salt for methodPRF, and a ciphertext for methodRSA. The key id is random for
// each blob. check identifies the key of the token under which the root was protected.
// Format 1 has neither: its key id is derived from the vault id.
const (
	blobMagic = "SRK"
	formatOne = 1
	formatTwo = 2
	saltSize  = 32
	maxRest   = 1024
	checkSize = 16
)

// A blob is a parsed protected root.
type blob struct {
	format byte
	method method
	id     driver.MaterialID // of the key in the token
	rest   []byte
	check  []byte // nil in format 1
	sealed []byte
}

// newBlob returns a blob of format 2 with a random key id.
func newBlob(m method) blob {
	b := blob{format: formatTwo, method: m, id: driver.MaterialID([]byte(object.Reserved + "randomtail"))}
	rand.Read(b.id[len(object.Reserved):])
	return b
}

// prefix returns the header without the check. The secret is bound to it.
func (b blob) prefix() []byte {
	h := append([]byte(blobMagic), b.format, byte(b.method))
	if b.format != formatOne {
		h = append(h, b.id[:]...)
	}
	h = binary.BigEndian.AppendUint16(h, uint16(len(b.rest)))
	return append(h, b.rest...)
}

// header returns all bytes before the sealed root.
func (b blob) header() []byte { return append(b.prefix(), b.check...) }

// bound returns header, vault id and edition.
func bound(header []byte, to driver.Binding) []byte {
	return append(append(bytes.Clone(header), to.VaultID[:]...), byte(to.Edition))
}

// checkOf returns the check of a secret, which identifies the key that produced the
// secret.
func (b blob) checkOf(secret []byte, to driver.Binding) []byte {
	check := make([]byte, checkSize)
	suite.AES.KDF(check, secret, checkLabel, bound(b.prefix(), to))
	return check
}

// rootKey derives the sealing key from a secret. The caller wipes it.
func (b blob) rootKey(secret []byte, to driver.Binding) []byte {
	key := suite.NewSecret(suite.AES.KeySize())
	suite.AES.KDF(key, secret, protectorLabel, bound(b.header(), to))
	return key
}

// seal completes a blob by sealing root under the key derived from a secret.
func (b blob) seal(secret []byte, to driver.Binding, root []byte) (driver.Blob, error) {
	b.check = b.checkOf(secret, to)
	key := b.rootKey(secret, to)
	defer suite.Wipe(key)
	return suite.AES.Seal(b.header(), key, root, bound(b.header(), to))
}

// open appends the root to dst. Errors: errOtherKey if the secret is from another key,
// errRoot if the blob does not open.
func (b blob) open(dst, secret []byte, to driver.Binding) ([]byte, error) {
	if b.check != nil && !hmac.Equal(b.check, b.checkOf(secret, to)) {
		return nil, errOtherKey
	}
	key := b.rootKey(secret, to)
	defer suite.Wipe(key)
	out, err := suite.AES.Open(dst, key, b.sealed, bound(b.header(), to))
	if err != nil {
		return nil, errRoot
	}
	return out, nil
}

// parseBlob parses a blob. It returns false if in is malformed.
func parseBlob(in []byte, to driver.Binding) (b blob, ok bool) {
	rest, ok := bytes.CutPrefix(in, []byte(blobMagic))
	if !ok || len(rest) < 2 {
		return blob{}, false
	}
	b.format, b.method, rest = rest[0], method(rest[1]), rest[2:]
	checks := 0
	switch b.format {
	case formatOne:
		b.id = b.method.oldKeyID(to)
	case formatTwo:
		if len(rest) < len(b.id) {
			return blob{}, false
		}
		checks = checkSize
		rest = rest[copy(b.id[:], rest):]
	default:
		return blob{}, false
	}
	if len(rest) < 2 {
		return blob{}, false
	}
	n := int(binary.BigEndian.Uint16(rest))
	rest = rest[2:]
	good := b.method == methodPRF && n == saltSize || b.method == methodRSA && n <= maxRest
	if !good || !object.IsReserved(b.id) || len(rest) != n+checks+rootSize+suite.Overhead {
		return blob{}, false
	}
	b.rest, b.sealed = rest[:n], rest[n+checks:]
	if checks > 0 {
		b.check = rest[n : n+checks]
	}
	return b, true
}
