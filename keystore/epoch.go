package keystore

import (
	"context"
	"errors"
	"fmt"
)

// ChangeEpoch destroys the material that op deletes. A new material epoch begins,
// what is left of class Material is sealed under its key, and the key of the past
// epoch goes from both copies of the root file, whose old bytes are overwritten.
// Once ChangeEpoch returned nil, no copy of the engine's directory opens the
// deleted material beside the files of this store. A root file that was copied
// before still does, for whoever has one of the protectors of its time.
//
// What op stages is durable at one moment: an error of op, or a crash before it,
// leaves nothing; after it the change is ended whatever happens, by this call or
// by the next Open. ErrUnfinished if a full disk or Close came between: then op is
// durable, the past key not yet dropped, and FinishEpoch or Open ends it. ctx
// bounds the waiting until op is taken.
//
// The survivors are sealed in batches between which other operations are served.
// One change runs at a time; others wait for it.
func (s *Store) ChangeEpoch(ctx context.Context, op func(*Tx) error) error {
	return s.changeEpoch(ctx, s.withRoom(func() error { return s.beginEpoch(op) }))
}

// FinishEpoch ends a ChangeEpoch that answered ErrUnfinished. It is nil if there
// is none.
func (s *Store) FinishEpoch(ctx context.Context) error {
	return s.changeEpoch(ctx, func() error { return nil })
}

// changeEpoch has begin start a change in the committer, and ends it. One that an
// earlier call left unfinished is ended first.
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

// holdEpoch waits until no other change of epoch is under way.
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

// finishEpoch runs the steps of endEpoch through the queue, so that operations
// which wait are served between them.
func (s *Store) finishEpoch(ctx context.Context) error {
	s.mu.RLock()
	under := s.keys != nil && s.keys.pastMaterial()
	s.mu.RUnlock()
	if !under {
		return nil
	}
	return s.endEpoch(func(step func() error) error { return s.alone(ctx, s.withRoom(step)) })
}

// beginEpoch puts a root file in force that has the next material key beside the
// present one.
func (s *Store) beginEpoch(op func(*Tx) error) error {
	keys, err := s.keys.nextMaterial(s.arena)
	if err != nil {
		return err
	}
	return s.replaceKeys(s.root.public().Protectors, keys, op)
}

// replaceKeys replaces the root file for another keyring under the same root.
func (s *Store) replaceKeys(p []Protector, keys *keyring, op func(*Tx) error) error {
	err := s.replaceRoot(p, keys, s.rootKeys, op)
	if s.keys != keys {
		keys.free()
	}
	return err
}

// endEpoch re-seals what past epochs sealed, then drops the past material key by
// another replacement of the root file. run runs one step in the committer.
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
	for path, e := range s.census.entries {
		if e.epoch != s.keys.current(e.class) {
			out = append(out, path)
		}
	}
	return out
}

// reseal seals the first of the records anew, with their versions, as many as one
// batch takes, and answers the others. What changed since the list was made is
// sealed under the current epoch already.
func (s *Store) reseal(stale []string) (rest []string, err error) {
	g := s.newGroup()
	defer g.wipe()
	for len(stale) > 0 && g.size < s.engine.MaxBatch()/2 {
		path := stale[0]
		stale = stale[1:]
		e, ok := s.census.entries[path]
		if !ok || e.epoch == s.keys.current(e.class) {
			continue
		}
		rec, err := s.Get(context.Background(), path)
		if err != nil {
			return nil, err
		}
		g.puts[path] = change{value: rec.Value, class: e.class, version: e.version}
		g.size += pairOverhead + len(path) + len(rec.Value)
	}
	return stale, s.commitGroup(g, s.head)
}

// dropPast ends the change, unless a record still needs the past key.
func (s *Store) dropPast() error {
	if len(s.stale()) > 0 {
		return errors.New("keystore: records of a past epoch are left")
	}
	keys, err := s.keys.dropMaterial(s.arena)
	if err != nil {
		return err
	}
	return s.replaceKeys(s.root.public().Protectors, keys, nil)
}
