// Package format encodes what the driver gives out: the blobs of keys and of roots, and TPM
// 2.0 key files. The formats are frozen; docs/formats.md describes them.
package format

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/wire"
)

// A Key is the encoded form of a key:
//
//	magic ‖ parent ‖ auth ‖ public ‖ private ‖ check
//
// The four fields in the middle have the two-byte length of a TPM2B: the name of the
// storage root key, the authorization value, and the public and private areas of the key.
// check is the hash of id, spec and all preceding bytes. It detects accidental damage,
// and thereby distinguishes a Key of another TPM from a damaged one; it is not a
// protection against forgery.
//
// The binding of the key to its id and spec is in the public area, which the TPM checks
// against the private area; see binding. The public area of a key from a key file cannot
// be chosen; the authorization value binds such a key, and auth is the seed from which
// that value is derived; see derived.
type Key struct {
	FromFile                      bool
	Parent, Auth, Public, Private []byte
}

// ErrDamaged is the error for a blob that does not decode.
var ErrDamaged = errors.New("the blob is damaged, or belongs to another key")

const (
	magic     = "SRT\x01" // the last byte is the format
	magicFile = "SRT\x02" // a key from a key file
	labelBlob = "strongroom tpm blob"
	labelBind = "strongroom tpm key"
	labelFile = "strongroom tpm key file"
)

// A KeyName identifies the key to which a blob is bound.
type KeyName struct {
	ID   driver.MaterialID
	Spec driver.KeySpec
}

// hash returns SHA-256 over a label, the name, and more.
func (n KeyName) hash(label string, more []byte) [sha256.Size]byte {
	spec := n.Spec.String()
	b := append([]byte(label), 0)
	b = append(b, n.ID[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(spec)))
	b = append(b, spec...)
	return sha256.Sum256(append(b, more...))
}

// Binding returns the digest that ties a key to its name. It is the authPolicy in the
// key's public area. No policy has this digest, so that it grants nothing. The hash
// covers the authorization value, so that the value cannot be exchanged either.
func (n KeyName) Binding(auth []byte) []byte {
	h := n.hash(labelBind, auth)
	return h[:]
}

// NewAuth returns an authorization value of 192 random bits, encoded without zero bytes,
// because some software truncates a value at a zero byte.
func NewAuth() []byte {
	var random [24]byte
	rand.Read(random[:])
	return base64.RawURLEncoding.AppendEncode(nil, random[:])
}

// AuthLength is the length of an authorization value in bytes.
const AuthLength = 32

// DerivedAuth returns the authorization value of a key from a key file. The TPM rejects the
// value for another id or spec, or from another seed.
func (n KeyName) DerivedAuth(seed []byte) []byte {
	h := n.hash(labelFile, seed)
	return base64.RawURLEncoding.AppendEncode(nil, h[:24])
}

// AuthValue returns the authorization AuthValue of the key in a blob. The caller wipes it.
func (b Key) AuthValue(n KeyName) []byte {
	if b.FromFile {
		return n.DerivedAuth(b.Auth)
	}
	return slices.Clone(b.Auth)
}

// Digest returns the hash of a blob under the name.
func (n KeyName) Digest(encoded driver.Blob) [sha256.Size]byte { return n.hash(labelBlob, encoded) }

// Encode returns the blob of a key with a name.
func (b Key) Encode(n KeyName) driver.Blob {
	out := []byte(magic)
	if b.FromFile {
		out = []byte(magicFile)
	}
	for _, part := range [][]byte{b.Parent, b.Auth, b.Public, b.Private} {
		out = wire.AppendSized(out, part)
	}
	check := n.hash(labelBlob, out)
	return append(out, check[:]...)
}

// DecodeKey parses a blob. The fields of the result share memory with encoded.
func DecodeKey(n KeyName, encoded driver.Blob) (Key, error) {
	body, check := encoded, []byte(nil)
	if len(encoded) >= sha256.Size {
		body, check = encoded[:len(encoded)-sha256.Size], encoded[len(encoded)-sha256.Size:]
	}
	want := n.hash(labelBlob, body)
	rest, made := bytes.CutPrefix(body, []byte(magic))
	rest, adopted := bytes.CutPrefix(rest, []byte(magicFile))
	if made == adopted || !bytes.Equal(want[:], check) {
		return Key{}, ErrDamaged
	}
	r := wire.Reader{Rest: rest}
	b := Key{FromFile: adopted, Parent: r.Sized(), Auth: r.Sized(), Public: r.Sized(), Private: r.Sized()}
	if r.Done() != nil || len(b.Auth) != AuthLength {
		return Key{}, ErrDamaged
	}
	return b, nil
}
