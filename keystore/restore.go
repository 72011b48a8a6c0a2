package keystore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"strongroom.example/internal/suite"
)

// restoreLead is added to the generations of the snapshot, so that a restored store is
// ahead of the store that was saved, however many commits that store has made since. A
// copy of one is then not accepted as a newer state of the other.
const restoreLead = 1 << 32

// Restore makes a store in cfg.Dir, as Create does, with the contents of snapshots: a
// full one, followed by snapshots that are each based on the one before. root supplies
// the protectors and the vault id; first is the first commit. The contents are verified
// against the head and the log's tree before the store becomes permanent. Errors:
//   - Those of Create.
//   - ErrCorrupt: a snapshot is incomplete or not based on its predecessor.
//   - The errors of the readers.
func Restore(ctx context.Context, cfg Config, root Root, snapshots []io.Reader, first func(*Tx) error) (*Store, error) {
	return makeStore(ctx, cfg, func(s *Store) error { return s.restore(ctx, cfg.Root, root, snapshots, first) })
}

func (s *Store) restore(ctx context.Context, secret []byte, root Root, snapshots []io.Reader, first func(*Tx) error) (err error) {
	if s.rootKeys, err = newRootKeys(s.arena, s.cfg.Suite, secret); err != nil {
		return err
	}
	if err := s.openEmpty(ctx); err != nil {
		return err
	}
	for _, from := range snapshots {
		in := restorer{store: s, r: from}
		if err := in.load(ctx); err != nil {
			return err
		}
		root.Generation = in.rootGeneration + restoreLead
	}
	if s.keys == nil {
		return fmt.Errorf("%w: there is no snapshot", ErrCorrupt)
	}
	if err := s.checkRestored(ctx); err != nil {
		return err
	}
	if err := s.rekeyEngine(); err != nil {
		return err
	}
	s.head.generation += restoreLead
	if s.root, err = encodeRoot(root, s.keys, s.rootKeys); err != nil {
		return err
	}
	return s.begin(ctx, first)
}

// checkRestored verifies the loaded records against the head that came with them.
func (s *Store) checkRestored(ctx context.Context) error {
	id, _, plain, err := s.sealer.open(s.keys, []byte(keyHead), s.sealed)
	if err != nil || id.class != classHead {
		return fmt.Errorf("%w: the snapshot's head does not open", ErrCorrupt)
	}
	if s.head, err = parseHead(plain); err != nil {
		return err
	}
	if err := s.takeCensus(ctx, s.census); err != nil {
		return err
	}
	return errors.Join(s.checkTail(ctx), s.checkTree(ctx))
}

// restorer loads one snapshot into the engine.
type restorer struct {
	redacted
	store          *Store
	r              io.Reader
	batch          Batch
	at             map[string]bool // keys in the batch
	live           map[string]bool // the records that exist at the end
	rootGeneration uint64
}

// errItem is returned for a snapshot that does not parse.
var errItem = fmt.Errorf("%w: the snapshot is cut or damaged", ErrCorrupt)

func (x *restorer) load(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		kind, key, value, err := x.item()
		if err != nil {
			return err
		}
		switch kind {
		case itemPair:
			err = x.put(ctx, Pair{key, value})
		case itemLive:
			if x.live == nil {
				x.live = map[string]bool{}
			}
			x.live[string(key)] = true
		case itemKeyring:
			err = x.keyring(value)
		case itemEnd:
			return x.end(ctx, key, value)
		}
		if err != nil {
			return err
		}
	}
}

// item reads one item. The caller wipes the value of a keyring.
func (x *restorer) item() (kind byte, key, value []byte, err error) {
	var header [7]byte
	if _, err := io.ReadFull(x.r, header[:]); err != nil {
		return 0, nil, nil, cut(err)
	}
	kind = header[0]
	n, m := binary.BigEndian.Uint16(header[1:]), binary.BigEndian.Uint32(header[3:])
	if bytes.IndexByte([]byte{itemPair, itemLive, itemKeyring, itemEnd}, kind) < 0 || n > maxItemKey || m > maxItemValue {
		return 0, nil, nil, errItem
	}
	body := make([]byte, int(n)+int(m))
	if _, err := io.ReadFull(x.r, body); err != nil {
		return 0, nil, nil, cut(err)
	}
	return kind, body[:n:n], body[n:], nil
}

// cut converts the end of the input to errItem. It returns the reader's other errors
// unchanged.
func cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errItem
	}
	return err
}

// put adds a pair to the batch, and commits the batch before it becomes too large. A key
// that occurs again replaces its earlier value.
func (x *restorer) put(ctx context.Context, p Pair) error {
	if len(p.Key) == 0 || len(p.Value) == 0 || p.Key[0] != prefixLog && p.Key[0] != prefixRecord {
		return errItem
	}
	const most = 1000 // an engine also bounds the number of entries in a batch
	full := x.batch.Size()+len(p.Key)+len(p.Value) > x.store.engine.MaxBatch()/2
	if full || len(x.batch.Put) == most || x.at[string(p.Key)] {
		if err := x.flush(ctx); err != nil {
			return err
		}
	}
	if x.at == nil {
		x.at = map[string]bool{}
	}
	x.at[string(p.Key)] = true
	x.batch.Put = append(x.batch.Put, p)
	return nil
}

func (x *restorer) flush(ctx context.Context) error {
	if len(x.batch.Put)+len(x.batch.Delete) == 0 {
		return nil
	}
	if err := x.store.ready(false); err != nil {
		return err
	}
	err := x.store.engine.Commit(ctx, x.batch)
	x.batch, x.at = Batch{}, nil
	return err
}

// keyring puts the snapshot's keyring in force.
func (x *restorer) keyring(plain []byte) error {
	defer suite.Wipe(plain)
	s := x.store
	keys, err := buildKeyring(s.arena, s.cfg.Suite, len(plain), func(b []byte) { copy(b, plain) })
	if err != nil {
		return err
	}
	if s.keys != nil {
		s.keys.free()
	}
	s.keys = keys
	return nil
}

// end reads the last item, which has the head, removes the records that no longer exist
// and stores the head.
func (x *restorer) end(ctx context.Context, generation, head []byte) error {
	var one [1]byte
	if n, err := x.r.Read(one[:]); n != 0 || err != io.EOF {
		if err != nil && err != io.EOF {
			return err
		}
		return errItem
	}
	if len(generation) != 8 || x.store.keys == nil {
		return errItem
	}
	x.rootGeneration = binary.BigEndian.Uint64(generation)
	if err := x.flush(ctx); err != nil {
		return err
	}
	if err := x.removeDead(ctx); err != nil {
		return err
	}
	// The head is stored unchanged, because the first commit expects it as its
	// predecessor.
	x.store.sealed = head
	x.batch.Put = []Pair{{[]byte(keyHead), head}}
	return x.flush(ctx)
}

// removeDead deletes the records that are not listed as existing at the end of the
// snapshot.
func (x *restorer) removeDead(ctx context.Context) error {
	var after []byte
	for {
		pairs, err := x.store.engine.Scan(ctx, []byte{prefixRecord}, after, 256)
		if err != nil {
			return err
		}
		if len(pairs) == 0 {
			return nil
		}
		for _, p := range pairs {
			if after = p.Key; !x.live[string(p.Key)] {
				x.batch.Delete = append(x.batch.Delete, p.Key)
			}
		}
		if err := x.flush(ctx); err != nil {
			return err
		}
	}
}
