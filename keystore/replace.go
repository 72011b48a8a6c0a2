package keystore

import (
	"context"
	"errors"
)

// Rekeying is what Rekey needs. Root is read during the call only.
type Rekeying struct {
	redacted
	Root       []byte
	Protectors []Protector
	Op         func(*Tx) error
}

// ReplaceProtectors writes the next generation of the root file. What op stages
// is committed at the one moment from which the change is certain: a crash before
// it leaves neither, after it Open completes the change.
func (s *Store) ReplaceProtectors(ctx context.Context, p []Protector, op func(*Tx) error) error {
	return s.alone(ctx, s.withRoom(func() error { return s.replaceRoot(p, s.keys, s.rootKeys, op) }))
}

// Rekey puts a new root and new epochs in force, re-seals every mutable record and
// drops the past material key; as in ChangeEpoch, other operations are served
// meanwhile. Past record keys stay for past log records: a store has at most 512
// roots in its life (ErrTooLarge).
//
// What op stages is durable before the first copy of the root file changes. If a
// crash comes between, the old root still opens the store, and then the Rekey is
// abandoned, with op's record of it; the new root completes it. Any fault after
// that moment fails closed.
func (s *Store) Rekey(ctx context.Context, r Rekeying) error {
	err := s.changeEpoch(ctx, s.withRoom(func() error { return s.rekey(r) }))
	if errors.Is(err, ErrUnfinished) {
		return s.fail(err)
	}
	return err
}

func (s *Store) rekey(r Rekeying) error {
	keys, err := s.keys.renewed(s.arena)
	if err != nil {
		return err
	}
	rootKeys, err := newRootKeys(s.arena, s.keys.suite, r.Root)
	if err != nil {
		keys.free()
		return err
	}
	err = s.replaceRoot(r.Protectors, keys, rootKeys, r.Op)
	if s.keys != keys {
		keys.free()
		rootKeys.free()
	}
	return err
}

// replaceRoot runs the replacement. The next file is written beside the present
// one; a head names it, in one batch with what op stages: from then on there is
// a record of the change, and Open completes it. Both copies are written, and a
// head takes the file as the present one. Op runs first: its error changes
// nothing. Once the head names the next file any fault fails closed.
func (s *Store) replaceRoot(p []Protector, keys *keyring, rootKeys *rootKeys, op func(*Tx) error) error {
	public := s.root.public()
	public.Generation++
	public.Protectors = p
	root, err := encodeRoot(public, keys, rootKeys)
	if err != nil {
		return err
	}
	if err := s.announce(root, keys, op); err != nil {
		if s.Failed() == nil {
			err = errors.Join(err, s.dropNext())
		}
		return err
	}
	if err := s.tip.sync(); err != nil {
		return s.fail(err)
	}
	if err := s.writeRoot(root); err != nil {
		return s.fail(err)
	}
	s.swap(root, keys, rootKeys)
	next := s.head
	next.rootHash, next.nextRoot = root.hash(), [32]byte{}
	if err := s.commitGroup(s.newGroup(), next); err != nil {
		return s.fail(err)
	}
	if err := s.dropNext(); err != nil {
		return s.fail(err)
	}
	return nil
}

// announce writes the next root file and commits a head that names it and the
// material epoch it brings, with what op stages.
func (s *Store) announce(root *Root, keys *keyring, op func(*Tx) error) error {
	g := s.newGroup()
	defer g.wipe()
	if op != nil {
		if err := g.stage(op); err != nil {
			return err
		}
	}
	if err := s.writeNext(root); err != nil {
		return err
	}
	next := s.head
	next.nextRoot, next.epoch = root.hash(), keys.current(Material)
	return s.commitGroup(g, next)
}

// swap puts the new root file and keys in force and wipes those they replace.
func (s *Store) swap(root *Root, keys *keyring, rootKeys *rootKeys) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root = root
	if keys != s.keys {
		s.keys.free()
		s.keys = keys
	}
	if rootKeys != s.rootKeys {
		s.rootKeys.free()
		s.rootKeys = rootKeys
	}
}
