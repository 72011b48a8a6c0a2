package keystore

import (
	"context"
	"errors"
)

// Rekeying is the argument of Rekey. Root is read during the call only; the caller wipes
// it.
type Rekeying struct {
	redacted
	Root       []byte
	Protectors []Protector
	Op         func(*Tx) error
}

// ReplaceProtectors writes the next generation of the root file with the protectors p.
// The changes of op are committed in the batch that makes the replacement certain: a
// crash before that leaves the store unchanged, and after it Open completes the
// replacement.
func (s *Store) ReplaceProtectors(ctx context.Context, p []Protector, op func(*Tx) error) error {
	return s.alone(ctx, s.withRoom(func() error { return s.replaceRoot(p, s.keys, s.rootKeys, op) }))
}

// Rekey puts a new root and new epochs in force, re-seals every mutable record and
// destroys the past material key. Other operations run between its batches, as in
// ChangeEpoch. Past record keys are kept for past log records, so a store has at most 512
// roots in its life; then Rekey fails with ErrTooLarge.
//
// The changes of op are durable before the first copy of the root file changes. After a
// crash between the two, opening the store with the new root completes the Rekey. Opening
// it with the old root abandons the Rekey and keeps the changes of op. Any error after
// that moment makes the store fail closed.
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

// replaceRoot replaces the root file. It runs op first, whose error changes nothing, and
// writes the next file beside the current one. One batch then commits op's changes and a
// head that names the next file; from then on Open completes the replacement. Both copies
// are written, and another head records the new file as current. Any error after the
// first head makes the store fail closed.
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

// announce writes the next root file and commits, with the changes of op, a head that
// names the file and its material epoch.
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

// swap puts the new root file and keys in force and wipes the keys that they replace.
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
