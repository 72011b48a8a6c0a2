package soft

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// The kinds of protector, as encoded in blobs.
const (
	kindPassphrase   = 1
	kindRecoveryCode = 2
	kindKeyFile      = 3
)

// A protector's blob is header ‖ sealed root; see docs/formats.md.
const (
	rootMagic  = "SRP\x01" // the last byte is the format
	rootSize   = 32
	saltSize   = 32
	checkSize  = 8
	saltAt     = 4 + 1 + 1 + 1 + 4 + 4
	checkAt    = saltAt + saltSize
	rootHeader = checkAt + checkSize
	rootLabel  = "strongroom protector"
	stretched  = 32
)

var (
	errRoot     = errors.New("blob does not open")
	errSecret   = errors.New("the secret is not the one that protects the root")
	errRootSize = errors.New("a root is 32 bytes long")
)

// A shape is the content of a blob's header: the kind of protector and the work.
type shape struct {
	kind byte
	work kdfWork
}

// A sealedRoot is a blob, with the kind and the binding that it must have.
type sealedRoot struct {
	kind byte
	b    driver.Binding
	blob driver.Blob
}

// A stretcher derives a 32-byte key from a secret; the caller wipes it. Its error is a
// context's.
type stretcher func(w kdfWork, salt []byte) ([]byte, error)

// protect wraps root under the key that stretch derives.
func protect(s shape, b driver.Binding, stretch stretcher, root []byte) (driver.Blob, error) {
	const op = "Protect"
	id, err := suiteOf(op, b.Edition)
	if err != nil {
		return nil, err
	}
	if len(root) != rootSize {
		return nil, fault(op, driver.Invalid, errRootSize)
	}
	header := s.header(id, b)
	secret, err := stretch(s.work, header[saltAt:checkAt])
	if err != nil {
		return nil, err
	}
	key := rootKey(id, secret, bound(header, b))
	defer suite.Wipe(key)
	blob, err := id.Seal(header, key, root, bound(header, b))
	if err != nil {
		return nil, fault(op, driver.Unknown, err)
	}
	return blob, nil
}

// recoverRoot opens a blob of protect. The header's checksum rejects accidental changes
// and other vaults' blobs before any work is done. It does not protect against an
// attacker; the limits on work do.
func recoverRoot(dst []byte, r sealedRoot, stretch stretcher) ([]byte, error) {
	const op = "Recover"
	id, err := suiteOf(op, r.b.Edition)
	if err != nil {
		return nil, err
	}
	s, ok := parseHeader(id, r.b, r.blob)
	if !ok || s.kind != r.kind || s.work.kdf != kdfFor(s.kind, r.b.Edition) {
		return nil, fault(op, driver.Denied, errRoot)
	}
	if !s.work.sane() {
		return nil, fault(op, driver.Invalid, errWork)
	}
	header, sealed := r.blob[:rootHeader], r.blob[rootHeader:]
	secret, err := stretch(s.work, header[saltAt:checkAt])
	if err != nil {
		return nil, err
	}
	key := rootKey(id, secret, bound(header, r.b))
	defer suite.Wipe(key)
	out, err := id.Open(dst, key, sealed, bound(header, r.b))
	if err != nil {
		return nil, fault(op, driver.Denied, errSecret)
	}
	return out, nil
}

func kdfFor(kind byte, e driver.Edition) byte {
	if kind == kindPassphrase {
		return passphraseKDF(e)
	}
	return kdfNone
}

// header returns a header with a fresh salt.
func (s shape) header(id suite.ID, b driver.Binding) []byte {
	h := append(make([]byte, 0, rootHeader+rootSize+suite.Overhead), rootMagic...)
	h = append(h, s.kind, byte(id), s.work.kdf)
	h = binary.BigEndian.AppendUint32(h, s.work.time)
	h = binary.BigEndian.AppendUint32(h, s.work.memory)
	h = h[:checkAt]
	rand.Read(h[saltAt:])
	return append(h, checksum(id, h, b)...)
}

// parseHeader parses a header. It returns false if the header is not one of this vault.
func parseHeader(id suite.ID, b driver.Binding, blob []byte) (shape, bool) {
	if len(blob) != rootHeader+rootSize+suite.Overhead || string(blob[:4]) != rootMagic || blob[5] != byte(id) ||
		!bytes.Equal(blob[checkAt:rootHeader], checksum(id, blob[:checkAt], b)) {
		return shape{}, false
	}
	return shape{blob[4], kdfWork{
		kdf:    blob[6],
		time:   binary.BigEndian.Uint32(blob[7:]),
		memory: binary.BigEndian.Uint32(blob[11:]),
	}}, true
}

func checksum(id suite.ID, header []byte, b driver.Binding) []byte {
	sum := id.Hash([]byte(rootLabel), bound(header, b))
	return sum[:checkSize]
}

// bound returns header, vault id and edition: the associated data of a sealed root.
func bound(header []byte, b driver.Binding) []byte {
	return append(append(bytes.Clone(header), b.VaultID[:]...), byte(b.Edition))
}

// rootKey derives the sealing key from secret and wipes secret.
func rootKey(id suite.ID, secret, context []byte) []byte {
	defer suite.Wipe(secret)
	key := suite.NewSecret(id.KeySize())
	id.KDF(key, secret, rootLabel, context)
	return key
}
