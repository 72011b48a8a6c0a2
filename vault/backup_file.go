package vault

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/keystore"
	"strongroom.example/vault/stream"
)

// A backup file is a stream (package stream) whose data key is wrapped by the backup's
// protectors. The header below takes the place of the ciphertext of the stream's data key,
// so every segment is bound to it. docs/formats.md specifies the bytes.

const (
	backupMagic = "SRBK\x01" // the last byte is the format
	backupFixed = len(backupMagic) + 1 + 16 + 16 + 16 + 8
)

// backupHeader is the public part of a backup. It is not authenticated before the stream's
// first segment is.
type backupHeader struct {
	edition    Edition
	vault      [16]byte
	id, since  string // 32 hexadecimal digits; since is empty for a full backup
	created    time.Time
	protectors []keystore.Protector
}

func (h backupHeader) encode() ([]byte, error) {
	id, err := hex.DecodeString(h.id)
	if err != nil {
		return nil, err
	}
	since := make([]byte, 16)
	if _, err := hex.Decode(since, []byte(h.since)); err != nil {
		return nil, err
	}
	b := append([]byte(backupMagic), byte(h.edition))
	b = append(append(append(b, h.vault[:]...), id...), since...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.created.UnixNano()))
	protectors, err := keystore.EncodeProtectors(h.protectors)
	b = append(b, protectors...)
	if err == nil && len(b) > 0xFFFF {
		err = fmt.Errorf("%w: the protectors of a backup have %d bytes, the limit is 64 KiB; give fewer", ErrTooLarge, len(b))
	}
	return b, err
}

func parseBackupHeader(b []byte) (h backupHeader, err error) {
	if len(b) < backupFixed || string(b[:len(backupMagic)]) != backupMagic {
		return h, fmt.Errorf("%w: this is not a backup", ErrCorrupt)
	}
	h.edition = Edition(b[len(backupMagic)])
	in := b[len(backupMagic)+1:]
	h.vault = [16]byte(in)
	h.id = hex.EncodeToString(in[16:32])
	if since := [16]byte(in[32:48]); since != [16]byte{} {
		h.since = hex.EncodeToString(since[:])
	}
	h.created = time.Unix(0, int64(binary.BigEndian.Uint64(in[48:]))).UTC()
	h.protectors, err = keystore.DecodeProtectors(b[backupFixed:])
	return h, err
}

// backupKey is the data key of a backup's stream.
type backupKey struct {
	header []byte
	key    *lockedmem.Buffer
}

func (k backupKey) Ciphertext() []byte { return k.header }

func (k backupKey) Use(f func(key []byte) error) error { return f(k.key.Bytes()[:rootSize]) }

// backupError makes the errors of a damaged backup match ErrCorrupt.
func backupError(err error) error {
	if errors.Is(err, stream.ErrStream) || errors.Is(err, stream.ErrInvalid) {
		return fmt.Errorf("%w: the backup is cut or changed; use another copy of it: %w", ErrCorrupt, err)
	}
	return err
}
