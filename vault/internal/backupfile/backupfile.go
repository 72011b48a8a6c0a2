// Package backupfile encodes the header of a backup file, and names the files of scheduled
// backups.
//
// A backup file is a stream (package stream) whose data key is wrapped by the backup's
// protectors. The header takes the place of the ciphertext of the stream's data key, so
// every segment is bound to it. docs/formats.md specifies the bytes.
package backupfile

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/rootunlock"
)

const (
	magic     = "SRBK\x01" // the last byte is the format
	fixedSize = len(magic) + 1 + 16 + 16 + 16 + 8
	maxSize   = 0xFFFF
)

// The errors of a header.
var (
	ErrFormat   = errors.New("not a backup")
	ErrTooLarge = errors.New("too many protectors for a backup")
)

// A Header is the public part of a backup. It is not authenticated before the stream's first
// segment is.
type Header struct {
	Edition    driver.Edition
	Vault      [16]byte
	ID, Since  string // 32 hexadecimal digits; Since is empty for a full backup
	Created    time.Time
	Protectors []keystore.Protector
}

// Encode encodes the header. It returns ErrTooLarge for protectors of more than 64 KiB.
func (h Header) Encode() ([]byte, error) {
	id, err := hex.DecodeString(h.ID)
	if err != nil {
		return nil, err
	}
	since := make([]byte, 16)
	if _, err := hex.Decode(since, []byte(h.Since)); err != nil {
		return nil, err
	}
	b := append([]byte(magic), byte(h.Edition))
	b = append(append(append(b, h.Vault[:]...), id...), since...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Created.UnixNano()))
	protectors, err := keystore.EncodeProtectors(h.Protectors)
	b = append(b, protectors...)
	if err == nil && len(b) > maxSize {
		err = fmt.Errorf("%w: the header has %d bytes, the limit is 64 KiB; give fewer", ErrTooLarge, len(b))
	}
	return b, err
}

// Parse parses a header. It returns ErrFormat if b is not the header of a backup, and the
// errors of keystore.DecodeProtectors.
func Parse(b []byte) (h Header, err error) {
	if len(b) < fixedSize || string(b[:len(magic)]) != magic {
		return h, ErrFormat
	}
	h.Edition = driver.Edition(b[len(magic)])
	in := b[len(magic)+1:]
	h.Vault = [16]byte(in)
	h.ID = hex.EncodeToString(in[16:32])
	if since := [16]byte(in[32:48]); since != [16]byte{} {
		h.Since = hex.EncodeToString(since[:])
	}
	h.Created = time.Unix(0, int64(binary.BigEndian.Uint64(in[48:]))).UTC()
	h.Protectors, err = keystore.DecodeProtectors(b[fixedSize:])
	return h, err
}

// A Key is the data key of a backup's stream.
type Key struct {
	Header []byte
	Root   *lockedmem.Buffer
}

// Ciphertext returns the header.
func (k Key) Ciphertext() []byte { return k.Header }

// Use calls f with the key.
func (k Key) Use(f func(key []byte) error) error { return f(k.Root.Bytes()[:rootunlock.RootSize]) }
