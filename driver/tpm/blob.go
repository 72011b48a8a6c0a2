package tpm

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"

	"strongroom.example/driver"
)

// A blob is the encoded form of a key:
//
//	magic ‖ parent ‖ auth ‖ public ‖ private ‖ check
//
// The four fields in the middle have the two-byte length of a TPM2B: the name of the
// storage root key, the authorization value, and the public and private areas of the key.
// check is the hash of id, spec and all preceding bytes. It detects accidental damage,
// and thereby distinguishes a blob of another TPM from a damaged one; it is not a
// protection against forgery.
//
// The binding of the key to its id and spec is in the public area, which the TPM checks
// against the private area; see binding. The public area of a key from a key file cannot
// be chosen; the authorization value binds such a key, and auth is the seed from which
// that value is derived; see derived.
type blob struct {
	adopted                       bool
	parent, auth, public, private []byte
}

const (
	magic     = "SRT\x01" // the last byte is the format
	magicFile = "SRT\x02" // a key from a key file
	labelBlob = "strongroom tpm blob"
	labelBind = "strongroom tpm key"
	labelFile = "strongroom tpm key file"
)

// A keyName identifies the key to which a blob is bound.
type keyName struct {
	id   driver.MaterialID
	spec driver.KeySpec
}

// hash returns SHA-256 over a label, the name, and more.
func (n keyName) hash(label string, more []byte) [sha256.Size]byte {
	spec := n.spec.String()
	b := append([]byte(label), 0)
	b = append(b, n.id[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(spec)))
	b = append(b, spec...)
	return sha256.Sum256(append(b, more...))
}

// binding returns the digest that ties a key to its name. It is the authPolicy in the
// key's public area. No policy has this digest, so that it grants nothing. The hash
// covers the authorization value, so that the value cannot be exchanged either.
func (n keyName) binding(auth []byte) []byte {
	h := n.hash(labelBind, auth)
	return h[:]
}

// newAuth returns an authorization value of 192 random bits, encoded without zero bytes,
// because some software truncates a value at a zero byte.
func newAuth() []byte {
	var random [24]byte
	rand.Read(random[:])
	return base64.RawURLEncoding.AppendEncode(nil, random[:])
}

const authLength = 32

// derived returns the authorization value of a key from a key file. The TPM rejects the
// value for another id or spec, or from another seed.
func (n keyName) derived(seed []byte) []byte {
	h := n.hash(labelFile, seed)
	return base64.RawURLEncoding.AppendEncode(nil, h[:24])
}

// value returns the authorization value of the key in a blob. The caller wipes it.
func (b blob) value(n keyName) []byte {
	if b.adopted {
		return n.derived(b.auth)
	}
	return slices.Clone(b.auth)
}

func (b blob) encode(n keyName) driver.Blob {
	out := []byte(magic)
	if b.adopted {
		out = []byte(magicFile)
	}
	for _, part := range [][]byte{b.parent, b.auth, b.public, b.private} {
		out = appendSized(out, part)
	}
	check := n.hash(labelBlob, out)
	return append(out, check[:]...)
}

// decode parses a blob. The fields of the result share memory with encoded.
func decode(n keyName, encoded driver.Blob) (blob, error) {
	body, check := encoded, []byte(nil)
	if len(encoded) >= sha256.Size {
		body, check = encoded[:len(encoded)-sha256.Size], encoded[len(encoded)-sha256.Size:]
	}
	want := n.hash(labelBlob, body)
	rest, made := bytes.CutPrefix(body, []byte(magic))
	rest, adopted := bytes.CutPrefix(rest, []byte(magicFile))
	if made == adopted || !bytes.Equal(want[:], check) {
		return blob{}, errDamaged
	}
	r := reader{rest: rest}
	b := blob{adopted: adopted, parent: r.sized(), auth: r.sized(), public: r.sized(), private: r.sized()}
	if r.done() != nil || len(b.auth) != authLength {
		return blob{}, errDamaged
	}
	return b, nil
}
