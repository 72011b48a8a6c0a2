package keystore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"strongroom.example/internal/suite"
	"strongroom.example/keystore/internal/head"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/record"
	"strongroom.example/keystore/internal/rootfile"
	"strongroom.example/keystore/internal/snapshot"
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
	if s.rootKeys, err = rootfile.NewKeys(s.arena, s.cfg.Suite.id(), secret); err != nil {
		return err
	}
	if err := s.openEmpty(ctx); err != nil {
		return err
	}
	for _, from := range snapshots {
		in := restorer{store: s, in: snapshot.NewReader(from)}
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
	s.head.Generation += restoreLead
	if s.root, err = sealRoot(root, s.keys, s.rootKeys); err != nil {
		return err
	}
	return s.begin(ctx, first)
}

// checkRestored verifies the loaded records against the head that came with them.
func (s *Store) checkRestored(ctx context.Context) error {
	id, _, plain, err := record.Open(s.keys, []byte(record.HeadKey), s.sealedHead)
	if err != nil || id.Class != keyring.Head {
		return fmt.Errorf("%w: the snapshot's head does not open", ErrCorrupt)
	}
	if s.head, err = head.Parse(plain); err != nil {
		return err
	}
	if err := s.takeCensus(ctx, s.census); err != nil {
		return err
	}
	if err := errors.Join(s.loadCut(ctx), s.loadLost(ctx)); err != nil {
		return err
	}
	// A snapshot from before a cut has records that a later one of the sequence has not.
	if err := s.TrimLog(ctx); err != nil {
		return err
	}
	return errors.Join(s.checkTail(ctx), s.checkTree(ctx))
}

// restorer loads one snapshot into the engine.
type restorer struct {
	redacted
	store          *Store
	in             snapshot.Reader
	batch          Batch
	at             map[string]bool // keys in the batch
	live           map[string]bool // the records that exist at the end
	rootGeneration uint64
}

func (x *restorer) load(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		kind, key, value, err := x.in.Item()
		if err != nil {
			return err
		}
		switch kind {
		case snapshot.Pair:
			err = x.put(ctx, Pair{key, value})
		case snapshot.Live:
			if x.live == nil {
				x.live = map[string]bool{}
			}
			x.live[string(key)] = true
		case snapshot.Keyring:
			err = x.putKeyring(value)
		case snapshot.End:
			return x.end(ctx, key, value)
		}
		if err != nil {
			return err
		}
	}
}

// put adds a pair to the batch, and commits the batch before it becomes too large. A key
// that occurs again replaces its earlier value.
func (x *restorer) put(ctx context.Context, p Pair) error {
	if len(p.Key) == 0 || len(p.Value) == 0 || p.Key[0] != record.LogPrefix && p.Key[0] != record.Prefix {
		return snapshot.ErrDamaged
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
	err := x.store.engineError(x.store.engine.Commit(ctx, x.batch))
	x.batch, x.at = Batch{}, nil
	return err
}

// putKeyring puts the snapshot's keyring in force.
func (x *restorer) putKeyring(plain []byte) error {
	defer suite.Wipe(plain)
	s := x.store
	keys, err := keyring.FromBytes(s.arena, s.cfg.Suite.id(), plain)
	if err != nil {
		return err
	}
	if s.keys != nil {
		s.keys.Free()
	}
	s.keys = keys
	return nil
}

// end reads the last item, which has the head, removes the records that no longer exist
// and stores the head.
func (x *restorer) end(ctx context.Context, generation, head []byte) error {
	if err := x.in.AtEnd(); err != nil {
		return err
	}
	if len(generation) != 8 || x.store.keys == nil {
		return snapshot.ErrDamaged
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
	x.store.sealedHead = head
	x.batch.Put = []Pair{{[]byte(record.HeadKey), head}}
	return x.flush(ctx)
}

// removeDead deletes the records that are not listed as existing at the end of the
// snapshot.
func (x *restorer) removeDead(ctx context.Context) error {
	return x.store.eachChunk(ctx, func(pairs []Pair) error {
		for _, p := range pairs {
			if !x.live[string(p.Key)] {
				x.batch.Delete = append(x.batch.Delete, p.Key)
			}
		}
		return x.flush(ctx)
	})
}
