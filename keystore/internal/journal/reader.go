package journal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"strongroom.example/keystore/internal/directory"
	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/keyring"
)

// ErrDamaged is the error of a journal that is not what was written.
var ErrDamaged = fmt.Errorf("%w: the journal is damaged", fault.ErrCorrupt)

// A Reader verifies the entries of a journal and keeps the hashes of what is in it.
type Reader struct {
	Hashes map[string][32]byte // of the sealed records, by engine key

	path  string   // of the directory, for messages
	file  *os.File // a handle of its own, so that the journal may be rewritten meanwhile
	at    uint64   // where the next entry begins
	chain [32]byte // the MAC of the entry before
	entry []byte
}

// NewReader opens a journal and verifies its header. The caller closes the Reader.
func NewReader(d *directory.Dir, name string, k *keyring.Keyring) (*Reader, error) {
	f, err := d.OpenFile(name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the journal is missing", fault.ErrCorrupt)
	}
	if err != nil {
		return nil, fault.Environment("read the journal in", d.Path(), err)
	}
	x := &Reader{Hashes: map[string][32]byte{}, path: d.Path(), file: f, at: headerSize}
	var header [headerSize]byte
	if _, err := io.ReadFull(f, header[:]); err != nil {
		return nil, errors.Join(x.readError(err), f.Close())
	}
	want := headerMAC(k, header[:headerSize-32])
	x.chain = [32]byte(header[headerSize-32:])
	if !bytes.HasPrefix(header[:], magic) || !hmac.Equal(want[:], x.chain[:]) {
		return nil, errors.Join(ErrDamaged, f.Close())
	}
	return x, nil
}

// Close closes the file.
func (x *Reader) Close() error { return x.file.Close() }

// readError returns the error for one of the file. A file that ends too early is damaged.
func (x *Reader) readError(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrDamaged
	}
	return fault.Environment("read the journal in", x.path, err)
}

// ReadTo reads the entries up to end, and calls pace, if it is not nil, with the length of each.
// withKeys calls its argument with the keyring.
func (x *Reader) ReadTo(ctx context.Context, end uint64, withKeys func(func(k *keyring.Keyring)) error, pace func(context.Context, int) error) error {
	in := bufio.NewReaderSize(io.NewSectionReader(x.file, int64(x.at), int64(end-x.at)), 64<<10)
	for x.at < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := x.readEntry(in); err != nil {
			return err
		}
		whole := false
		if err := withKeys(func(k *keyring.Keyring) { whole = x.add(k) }); err != nil {
			return err
		}
		if !whole {
			return ErrDamaged
		}
		if pace != nil {
			if err := pace(ctx, len(x.entry)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Finish reads the rest and checks that the journal ends at end.
func (x *Reader) Finish(ctx context.Context, end End, withKeys func(func(k *keyring.Keyring)) error) error {
	if x.at > end.Offset {
		return ErrDamaged
	}
	if err := x.ReadTo(ctx, end.Offset, withKeys, nil); err != nil {
		return err
	}
	if x.at != end.Offset || x.chain != end.Chain {
		return ErrDamaged
	}
	return nil
}

func (x *Reader) readEntry(in *bufio.Reader) error {
	header, err := in.Peek(entryHeader)
	if err != nil {
		return x.readError(err)
	}
	n := entrySize(header)
	if n == 0 {
		return ErrDamaged
	}
	x.entry = slices.Grow(x.entry[:0], n)[:n]
	if _, err := io.ReadFull(in, x.entry); err != nil {
		return x.readError(err)
	}
	return nil
}

// add applies the entry that was read. It returns false if the entry does not follow the
// one before it.
func (x *Reader) add(k *keyring.Keyring) bool {
	if _, ok := cutEntry(k, x.chain[:], x.entry); !ok {
		return false
	}
	body := x.entry[:len(x.entry)-32]
	e, ok := parseEntry(body)
	if !ok {
		return false
	}
	for _, p := range e.Put {
		x.Hashes[string(p.Key)] = k.Suite().Sum(p.Value)
	}
	for _, key := range e.Deleted {
		delete(x.Hashes, string(key))
	}
	x.at += uint64(len(x.entry))
	x.chain = [32]byte(x.entry[len(body):])
	return true
}
