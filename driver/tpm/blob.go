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

// A blob is
//
//	magic ‖ parent ‖ auth ‖ public ‖ private ‖ check
//
// where the four in the middle are sized as a TPM sizes them: the name of the storage
// root key, the authorization value, and both areas of the key. check is the hash of
// id, spec and all that stands before; it finds accidents, and tells a blob of another
// TPM from one that is damaged. What binds the key to its id and spec is in the public
// area, which the TPM holds to the private one; see binding. A key from a key file has a
// public area that cannot be chosen; there it is the authorization value that binds, and
// auth is what that is derived from; see derived.
type blob struct {
	adopted                       bool
	parent, auth, public, private []byte
}

const (
	magic     = "SRT\x01" // the last byte is the format
	magicFile = "SRT\x02" // of a key from a key file
	labelBlob = "strongroom tpm blob"
	labelBind = "strongroom tpm key"
	labelFile = "strongroom tpm key file"
)

// A keyName is what a key is bound to.
type keyName struct {
	id   driver.MaterialID
	spec driver.KeySpec
}

// hash is SHA-256 over a label, the name, and more.
func (n keyName) hash(label string, more []byte) [sha256.Size]byte {
	spec := n.spec.String()
	b := append([]byte(label), 0)
	b = append(b, n.id[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(spec)))
	b = append(b, spec...)
	return sha256.Sum256(append(b, more...))
}

// binding ties a key to its name. It stands as authPolicy in the public area, where no
// policy has it as its digest and so nothing else comes of it. The authorization value
// is in the hash, so that it cannot be exchanged either.
func (n keyName) binding(auth []byte) []byte {
	h := n.hash(labelBind, auth)
	return h[:]
}

// newAuth makes an authorization value of 192 random bits without a zero byte, at
// which some software cuts it.
func newAuth() []byte {
	var random [24]byte
	rand.Read(random[:])
	return base64.RawURLEncoding.AppendEncode(nil, random[:])
}

const authLength = 32

// derived is the authorization value of a key from a key file: under another id or spec,
// or from another seed, the TPM refuses it.
func (n keyName) derived(seed []byte) []byte {
	h := n.hash(labelFile, seed)
	return base64.RawURLEncoding.AppendEncode(nil, h[:24])
}

// value is the authorization value of the key in a blob. The caller wipes it.
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

// decode takes a blob apart. The parts are parts of encoded.
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
