package keystore

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/record"
)

// ChangeEpoch destroys the material that op deletes. It begins a new material epoch,
// re-seals the remaining records of class Material under the new key, and removes the old
// epoch's key from both copies of the root file, whose old bytes are overwritten. Once
// ChangeEpoch has returned nil, no copy of the engine's directory together with this
// store's other files opens the deleted material. A copy of the root file from before the
// change still opens it for a holder of one of its protectors.
//
// The changes of op become durable at one moment. An error of op, or a crash before that
// moment, leaves the store unchanged; after it, this call or the next Open completes the
// change. ctx bounds the wait until op starts. If a full disk or Close interrupts the
// change after that moment, ChangeEpoch returns ErrUnfinished: op is durable, the old key
// is not yet destroyed, and FinishEpoch or Open completes the change.
//
// It may use the reserve of disk space, as CommitInReserve does, because it destroys.
//
// Records are re-sealed in batches, between which other operations run. One change of
// epoch runs at a time; other calls wait for it.
func (s *Store) ChangeEpoch(ctx context.Context, op func(*Tx) error) error {
	return s.changeEpoch(ctx, s.withRoom(true, func() error { return s.beginEpoch(op) }))
}

// FinishEpoch completes a ChangeEpoch or a Rekey that returned ErrUnfinished. It returns
// nil if there is none, at the cost of a lock.
func (s *Store) FinishEpoch(ctx context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if err := s.Failed(); err != nil {
		return err
	}
	if err := s.holdEpoch(ctx); err != nil {
		return err
	}
	defer func() { <-s.epochs }()
	return s.finishEpoch(ctx)
}

// changeEpoch runs begin in the committer to start a change of epoch, and completes the
// change. A change left unfinished by an earlier call is completed first.
func (s *Store) changeEpoch(ctx context.Context, begin func() error) error {
	if err := s.holdEpoch(ctx); err != nil {
		return err
	}
	defer func() { <-s.epochs }()
	if err := s.finishEpoch(ctx); err != nil {
		return err
	}
	if err := s.alone(ctx, begin); err != nil {
		return err
	}
	if err := s.finishEpoch(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("%w: %w", ErrUnfinished, err)
	}
	return nil
}

// holdEpoch waits until no other change of epoch is in progress.
func (s *Store) holdEpoch(ctx context.Context) error {
	select {
	case s.epochs <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
		return ErrClosed
	}
}

// finishEpoch runs the steps of endEpoch through the queue, so that waiting operations
// are served between them, and completes the last replacement of the root file.
func (s *Store) finishEpoch(ctx context.Context) error {
	s.mu.RLock()
	unplaced, under := s.unplaced, s.keys != nil && s.keys.PastMaterial()
	s.mu.RUnlock()
	if !under && !unplaced {
		return nil
	}
	if under {
		if err := s.endEpoch(func(step func() error) error { return s.alone(ctx, s.withRoom(true, step)) }); err != nil {
			return err
		}
	}
	return s.alone(ctx, s.resumeRoot)
}

// beginEpoch puts a root file in force that has the next material key in addition to the
// current one.
func (s *Store) beginEpoch(op func(*Tx) error) error {
	keys, err := s.keys.NextMaterial(s.arena)
	if err != nil {
		return err
	}
	return s.replaceKeys(s.root.public().Protectors, keys, op)
}

// replaceKeys replaces the root file to change the keyring, under the same root.
func (s *Store) replaceKeys(p []Protector, keys *keyring.Keyring, op func(*Tx) error) error {
	err := s.replaceRoot(p, keys, s.rootKeys, op)
	if s.keys != keys {
		keys.Free()
	}
	return err
}

// endEpoch re-seals the records of past epochs, then replaces the root file once more to
// drop the old material key. run runs one step in the committer.
func (s *Store) endEpoch(run func(step func() error) error) error {
	var stale []string
	if err := run(func() error { stale = s.stale(); return nil }); err != nil {
		return err
	}
	for len(stale) > 0 {
		if err := run(func() (err error) { stale, err = s.reseal(stale); return err }); err != nil {
			return err
		}
	}
	return run(s.dropPast)
}

// stale lists the mutable records that are not sealed under the current epoch of
// their class.
func (s *Store) stale() (out []string) {
	for path, e := range s.census.Entries {
		if e.Epoch != s.keys.Current(e.Class) {
			out = append(out, path)
		}
	}
	return out
}

// reseal re-seals records from the front of the list, as many as fit in one batch, and
// returns the rest. The records keep their versions. A record that changed since the list
// was made is sealed under the current epoch already and is skipped.
func (s *Store) reseal(stale []string) (rest []string, err error) {
	g := s.newGroup()
	defer g.wipe()
	for len(stale) > 0 && g.size < s.engine.MaxBatch()/2 {
		path := stale[0]
		stale = stale[1:]
		e, ok := s.census.Entries[path]
		if !ok || e.Epoch == s.keys.Current(e.Class) {
			continue
		}
		rec, err := s.Get(context.Background(), path)
		if err != nil {
			return nil, err
		}
		g.puts[path] = change{value: rec.Value, class: e.Class, version: e.Version}
		g.size += record.Overhead + len(path) + len(rec.Value)
	}
	return stale, s.commitGroup(g, s.head)
}

// dropPast removes the old material key, which completes the change. It fails if a record
// still needs the key.
func (s *Store) dropPast() error {
	if len(s.stale()) > 0 {
		return errors.New("keystore: records of a past epoch are left")
	}
	keys, err := s.keys.DropMaterial(s.arena)
	if err != nil {
		return err
	}
	return s.replaceKeys(s.root.public().Protectors, keys, nil)
}
