package keystore

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/rootfile"
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
// replacement. A shortage of disk space or descriptors before that moment fails the call
// and changes nothing. After it ReplaceProtectors returns ErrUnfinished: p is in force, a
// replaced root file may still be in the directory, and the store removes it before the
// next batch, within about a second of the end of the shortage, or at the next Open.
func (s *Store) ReplaceProtectors(ctx context.Context, p []Protector, op func(*Tx) error) error {
	return s.alone(ctx, s.withRoom(false, func() error {
		if err := s.replaceRoot(p, s.keys, s.rootKeys, op); err != nil {
			return err
		}
		if err := s.resumeRoot(); err != nil && s.Failed() == nil {
			return fmt.Errorf("%w: %w", ErrUnfinished, err)
		}
		return s.Failed()
	}))
}

// Rekey puts a new root and new epochs in force, re-seals every mutable record and
// destroys the past material key. Other operations run between its batches, as in
// ChangeEpoch. Past record keys are kept for past log records, so a store has at most 512
// roots in its life; then Rekey fails with ErrTooLarge.
//
// The changes of op are durable before the first copy of the root file changes. After a
// crash between the two, opening the store with the new root completes the Rekey. Opening
// it with the old root abandons the Rekey and keeps the changes of op. If a shortage of
// disk space or descriptors, or Close, interrupts Rekey after that moment, it returns
// ErrUnfinished: the new root is in force, the old root file or the old keys are not yet
// destroyed, and the store goes on as after ReplaceProtectors and ChangeEpoch.
func (s *Store) Rekey(ctx context.Context, r Rekeying) error {
	err := s.changeEpoch(ctx, s.withRoom(false, func() error { return s.rekey(r) }))
	if errors.Is(err, ErrUnfinished) && fault.IsShortage(err) && s.Failed() == nil {
		if err = s.FinishEpoch(context.WithoutCancel(ctx)); err != nil {
			err = fmt.Errorf("%w: %w", ErrUnfinished, err)
		}
	}
	return err
}

func (s *Store) rekey(r Rekeying) error {
	keys, err := s.keys.Renewed(s.arena)
	if err != nil {
		return err
	}
	rootKeys, err := rootfile.NewKeys(s.arena, s.keys.Suite(), r.Root)
	if err != nil {
		keys.Free()
		return err
	}
	err = s.replaceRoot(r.Protectors, keys, rootKeys, r.Op)
	if s.keys != keys {
		keys.Free()
		rootKeys.Free()
	}
	return err
}

// replaceRoot replaces the root file. It runs op first, whose error changes nothing, and
// writes the next file under every name that it is to have. One batch then commits op's
// changes and a head that names the next file; from then on Open completes the
// replacement. The new file and keys are in force in memory from that moment as well.
//
// An error before the head is durable changes nothing. After it, a shortage is not an
// error: the caller, or room before the next batch, calls resumeRoot, and the store
// commits nothing until the replacement is complete. Any other error after the head makes
// the store fail closed.
func (s *Store) replaceRoot(p []Protector, keys *keyring.Keyring, rootKeys *rootfile.Keys, op func(*Tx) error) error {
	public := s.root.public()
	public.Generation++
	public.Protectors = p
	root, err := sealRoot(public, keys, rootKeys)
	if err != nil {
		return err
	}
	if err := s.announce(root, keys, op); err != nil {
		return err
	}
	if err := s.writeTip(true); err != nil {
		return err
	}
	s.swap(root, keys, rootKeys)
	_ = s.resumeRoot()
	return s.Failed()
}

// announce writes the files of the next root and commits, with the changes of op, a head
// that names root.next and its material epoch. If it fails it erases the files, unless
// the store failed closed, because the head may then be there after the next Open.
func (s *Store) announce(root *Root, keys *keyring.Keyring, op func(*Tx) error) error {
	g := s.newGroup()
	defer g.wipe()
	if op != nil {
		if err := g.stage(op); err != nil {
			return err
		}
	}
	err := s.copies().Prepare(root.file.Bytes())
	if err == nil {
		next := s.head
		next.NextRoot, next.Epoch = root.file.Hash(), keys.Current(keyring.Material)
		err = s.commitGroup(g, next)
	}
	switch {
	case err == nil || s.Failed() != nil:
		return err
	case s.head.NextRoot == root.file.Hash(): // the head is durable, and what follows it failed
		if fault.IsShortage(err) {
			return nil
		}
		return s.fail(err)
	}
	return fault.Environment("replace the root file in", s.dir.Path(), errors.Join(err, s.copies().DropPrepared()))
}

// resumeRoot completes a replacement of the root file that is certain. It returns the
// error of a shortage, after which it can be called again. Any other error makes the
// store fail closed.
func (s *Store) resumeRoot() error {
	if !s.unplaced {
		return nil
	}
	err := s.finishRoot(true)
	switch {
	case err == nil:
		s.mu.Lock()
		s.unplaced = false
		s.mu.Unlock()
		return nil
	case s.Failed() != nil:
		return s.Failed()
	case fault.IsShortage(err):
		return fault.Environment("replace the root file in", s.dir.Path(), err)
	}
	return s.fail(err)
}

// finishRoot makes both copies equal to the file in force, erases the files that a
// replacement leaves, and commits a head that announces no replacement. prepared is as for
// Copies.Settle. finishRoot may be repeated after any error: it does what is still to be done.
func (s *Store) finishRoot(prepared bool) error {
	if err := s.copies().Settle(s.root.file.Bytes(), prepared); err != nil {
		return err
	}
	if s.head.NextRoot != [32]byte{} {
		next := s.head
		next.RootHash, next.NextRoot = s.root.file.Hash(), [32]byte{}
		if err := s.commitGroup(s.newGroup(), next); err != nil {
			return err
		}
	}
	return s.copies().DropNext()
}

// copies returns the copies of the root file.
func (s *Store) copies() rootfile.Copies {
	return rootfile.NewCopies(s.dir, s.root.VaultID, s.step)
}

// swap puts the new root file and keys in force and wipes the keys that they replace. The
// copies of the file in the directory are still to be replaced.
func (s *Store) swap(root *Root, keys *keyring.Keyring, rootKeys *rootfile.Keys) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root, s.unplaced = root, true
	if keys != s.keys {
		s.keys.Free()
		s.keys = keys
	}
	if rootKeys != s.rootKeys {
		s.rootKeys.Free()
		s.rootKeys = rootKeys
	}
}
