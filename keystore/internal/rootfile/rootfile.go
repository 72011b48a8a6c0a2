// Package rootfile has the root file: its encoding, the keys that the root opens it with, and the
// replacement of its copies in the store's directory. docs/formats.md specifies the bytes.
package rootfile

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"time"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
	"strongroom.example/keystore/internal/directory"
	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/fields"
	"strongroom.example/keystore/internal/keyring"
)

// The names of the files in the store's directory.
const (
	Name = "root"
	Copy = "root.copy"
	Next = "root.next" // while the file is being replaced
	Old  = "root.old"  // a replaced copy that is not erased yet
)

// MaxSize is the length of the longest root file, in bytes.
const MaxSize = 1 << 20

const (
	format     = 2 // format 1 had one kind of epoch and was never released
	headerSize = 6 + 1 + 1 + 1 + 16 + 8 + 8 + 2
)

var magic = []byte("SRROOT")

// A Header is the public part of a root file.
type Header struct {
	VaultID    [16]byte
	Edition    uint8
	Generation uint64
	Created    time.Time
	Protectors []Protector
}

// A File is a parsed root file. Its header is authentic only once Authenticates has returned true
// for a root, or Unlock has returned the keyring.
type File struct {
	Header
	suite  suite.ID
	sealed []byte // the keyring
	raw    []byte // the file as read
}

// Seal builds a root file: the public part, the keyring sealed under the root, a MAC under
// the root over both, and an unkeyed hash that detects damage before any file is unlocked.
func Seal(h Header, k *keyring.Keyring, keys *Keys) (*File, error) {
	if err := checkProtectors(h.Protectors); err != nil {
		return nil, err
	}
	id := k.Suite()
	b := appendHeader(nil, id, h)
	sealed, err := id.Seal(nil, keys.seal(id), k.Bytes(), b)
	if err != nil {
		return nil, err
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(sealed)))
	b = append(b, sealed...)
	mac := id.MAC(keys.mac(), b)
	b = append(b, mac[:]...)
	sum := id.Hash(b)
	b = append(b, sum[:]...)
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%w: root file", fault.ErrTooLarge)
	}
	return Parse(b)
}

func appendHeader(b []byte, id suite.ID, h Header) []byte {
	b = append(append(b, magic...), format, byte(id), h.Edition)
	b = append(b, h.VaultID[:]...)
	b = binary.BigEndian.AppendUint64(b, h.Generation)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Created.UnixNano()))
	return appendProtectors(b, h.Protectors)
}

// Parse parses a root file and checks its unkeyed hash.
func Parse(b []byte) (*File, error) {
	bad := fmt.Errorf("%w: root file", fault.ErrCorrupt)
	if len(b) < headerSize+4+64 || len(b) > MaxSize || !bytes.Equal(b[:6], magic) || b[6] != format || !suite.ID(b[7]).Valid() {
		return nil, bad
	}
	f := &File{Header: Header{Edition: b[8]}, suite: suite.ID(b[7]), raw: b}
	if sum := f.suite.Hash(b[:len(b)-32]); !bytes.Equal(sum[:], b[len(b)-32:]) {
		return nil, bad
	}
	copy(f.VaultID[:], b[9:])
	f.Generation = binary.BigEndian.Uint64(b[25:])
	f.Created = time.Unix(0, int64(binary.BigEndian.Uint64(b[33:]))).UTC()
	in := fields.NewReader(b[headerSize-2 : len(b)-64])
	ok := false
	if f.Protectors, ok = readProtectors(&in); !ok {
		return nil, bad
	}
	f.sealed = in.Bytes(int(in.Uint(4)), MaxSize)
	if !in.Done() {
		return nil, bad
	}
	return f, nil
}

// Read reads and parses one of the files in a directory.
func Read(d *directory.Dir, name string) (*File, error) {
	b, err := d.ReadBounded(name, MaxSize)
	if err != nil {
		return nil, err
	}
	return Parse(b)
}

// Bytes returns the file, which the caller does not change.
func (f *File) Bytes() []byte { return f.raw }

// Suite returns the suite that the file names.
func (f *File) Suite() suite.ID { return f.suite }

// Hash returns the hash of the file.
func (f *File) Hash() [32]byte { return f.suite.Hash(f.raw) }

// Unlock checks the MAC under the root and opens the keyring.
func (f *File) Unlock(a *lockedmem.Arena, keys *Keys) (*keyring.Keyring, error) {
	signed := f.raw[:len(f.raw)-64]
	if !f.macHolds(keys.mac()) {
		return nil, fmt.Errorf("%w: wrong root, or the root file was changed", fault.ErrUnlock)
	}
	plain, err := f.suite.Open(nil, keys.seal(f.suite), f.sealed, signed[:len(signed)-4-len(f.sealed)])
	if err != nil {
		return nil, fmt.Errorf("%w: the keyring in the root file", fault.ErrCorrupt)
	}
	defer suite.Wipe(plain)
	return keyring.FromBytes(a, f.suite, plain)
}

// Authenticates reports whether the file's MAC holds under root. It is false for a root that is
// not KeySize bytes long. The keys that it derives are wiped.
func (f *File) Authenticates(root []byte) bool {
	if len(root) != keyring.KeySize {
		return false
	}
	key := suite.NewSecret(keyring.KeySize)
	defer suite.Wipe(key)
	f.suite.KDF(key, root, labelMAC, nil)
	return f.macHolds(key)
}

// macHolds reports whether the file's MAC is valid under key.
func (f *File) macHolds(key []byte) bool {
	mac := f.suite.MAC(key, f.raw[:len(f.raw)-64])
	return hmac.Equal(mac[:], f.raw[len(f.raw)-64:len(f.raw)-32])
}
