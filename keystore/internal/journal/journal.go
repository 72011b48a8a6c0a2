// Package journal has the file of the store's mutable records, from which Repair rebuilds the
// engine. A file begins with a snapshot of these records; each batch that changes one of them
// appends an entry. Entries are authenticated and chained. docs/formats.md specifies the bytes.
package journal

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"os"

	"strongroom.example/keystore/internal/directory"
	"strongroom.example/keystore/internal/fields"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/osfile"
)

const (
	headerSize = 4 + 16 + 32
	// growth is how many bytes are written with zeros at once, so that most entries are synced
	// without new blocks or a new length.
	growth = 256 << 10
	// SnapshotPart is the size at which a snapshot begins the next entry.
	SnapshotPart = 128 << 10
	// rewriteAbove is added to twice the size of the snapshot; a file that is larger is
	// rewritten.
	rewriteAbove = 512 << 10
)

var magic = []byte("SRJ\x01")

// An End is the end of the newest entry. Head and tip hold it.
type End struct {
	Generation uint64   // of the batch that the entry is of, or at which the file was rewritten
	Offset     uint64   // where the next entry begins; 0 if there is no journal
	Base       uint64   // where the snapshot at the beginning of the file ends
	Chain      [32]byte // the MAC of the entry
}

// EndSize is the length of an encoded End.
const EndSize = 8 + 8 + 8 + 32

// Append appends the encoding of e.
func (e End) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, e.Generation)
	dst = binary.BigEndian.AppendUint64(dst, e.Offset)
	dst = binary.BigEndian.AppendUint64(dst, e.Base)
	return append(dst, e.Chain[:]...)
}

// ReadEnd reads what Append appended.
func ReadEnd(r *fields.Reader) (e End) {
	e.Generation, e.Offset, e.Base = r.Uint(8), r.Uint(8), r.Uint(8)
	r.Fill(e.Chain[:])
	return e
}

// A File is an open journal.
type File struct {
	file *os.File
	end  End
	size int64  // of the file
	buf  []byte // the entry that is being written
}

// Create makes a file without an entry. The name must be free.
func Create(d *directory.Dir, name string, k *keyring.Keyring) (*File, error) {
	f, err := d.Create(name)
	if err != nil {
		return nil, err
	}
	j := &File{file: f, size: headerSize}
	b := append(bytes.Clone(magic), make([]byte, 16)...)
	rand.Read(b[len(magic):])
	j.end.Chain, j.end.Offset = headerMAC(k, b), headerSize
	if _, err := f.Write(append(b, j.end.Chain[:]...)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

// Open opens a file to be continued at end. HasEnd reports whether that is possible.
func Open(d *directory.Dir, name string, end End) (*File, error) {
	f, err := d.OpenFile(name, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &File{file: f, end: end, size: info.Size()}, nil
}

func headerMAC(k *keyring.Keyring, header []byte) [32]byte {
	return k.MAC(keyring.Journal, []byte("file"), header)
}

// End returns the end of the newest entry.
func (j *File) End() End { return j.end }

// Adopt sets the end. What the file has up to there counts as its snapshot.
func (j *File) Adopt(end End) {
	j.end = end
	j.end.Base = end.Offset
}

// HasEnd reports whether the file has the entry that ends at its end.
func (j *File) HasEnd() (bool, error) {
	var mac [32]byte
	if j.end.Offset < headerSize {
		return false, nil
	}
	_, err := j.file.ReadAt(mac[:], int64(j.end.Offset)-int64(len(mac)))
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return err == nil && mac == j.end.Chain, err
}

// HasMore reports whether an entry follows the end.
func (j *File) HasMore(k *keyring.Keyring) (bool, error) {
	b := make([]byte, min(maxEntry, max(0, j.size-int64(j.end.Offset))))
	n, err := j.file.ReadAt(b, int64(j.end.Offset))
	if n < len(b) {
		return false, err
	}
	_, more := cutEntry(k, j.end.Chain[:], b)
	return more, nil
}

// Prepare encodes the next entry, makes room for it in the file, and returns the end of the
// journal with it. After an error nothing has changed.
func (j *File) Prepare(k *keyring.Keyring, e Entry) (End, error) {
	j.buf = appendEntry(j.buf[:0], k, j.end.Chain, e)
	next := j.end
	next.Generation = e.Generation
	next.Offset += uint64(len(j.buf))
	copy(next.Chain[:], j.buf[len(j.buf)-32:])
	if n := int64(next.Offset) - j.size; n > 0 {
		if _, err := j.file.WriteAt(make([]byte, max(n, growth)), j.size); err != nil {
			return next, err
		}
		if err := j.file.Sync(); err != nil {
			return next, err
		}
		j.size += max(n, growth)
	}
	return next, nil
}

// Append writes the entry that Prepare made and returns once it is durable.
func (j *File) Append(next End) error {
	if _, err := j.file.WriteAt(j.buf, int64(j.end.Offset)); err != nil {
		return err
	}
	if err := osfile.Datasync(j.file); err != nil {
		return err
	}
	j.end = next
	return nil
}

// Write appends an entry of the snapshot, which Sync makes durable.
func (j *File) Write(k *keyring.Keyring, e Entry) error {
	next, err := j.Prepare(k, e)
	if err == nil {
		_, err = j.file.WriteAt(j.buf, int64(j.end.Offset))
	}
	j.end = next
	return err
}

// Sync makes the file durable.
func (j *File) Sync() error { return j.file.Sync() }

// Due reports whether the file should be rewritten.
func (j *File) Due() bool { return j.end.Offset > 2*j.end.Base+rewriteAbove }

// IsAt returns ErrReplaced unless the name in the directory is that of the file.
func (j *File) IsAt(d *directory.Dir, name string) error { return d.IsAt(name, j.file) }

// WriteAgain writes the file again under its name, which must be free, and continues with it.
func (j *File) WriteAgain(d *directory.Dir, name string) error { return d.WriteAgain(name, &j.file) }

// Close closes the file. Closing no file is not an error.
func (j *File) Close() error {
	if j == nil {
		return nil
	}
	return j.file.Close()
}
