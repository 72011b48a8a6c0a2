package keystore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"strongroom.example/internal/selftest"
)

// Create makes a store in cfg.Dir, which is made, durably, if it is absent. root brings
// the protectors; a zero vault id or creation time is filled in. first is the
// first commit. ErrSelfTest if the suite's cryptography computes wrong results; ErrExists if there is a store, or a part of one that is not the
// leftover of a creation that was cut short.
func Create(ctx context.Context, cfg Config, root Root, first func(*Tx) error) (*Store, error) {
	if err := selftest.Suite(cfg.Suite); err != nil {
		return nil, err
	}
	if err := prepare(cfg.Dir); err != nil {
		return nil, err
	}
	s := newStore(cfg)
	if err := s.create(ctx, cfg.Root, root, first); err != nil {
		return nil, errors.Join(err, s.abandon())
	}
	go s.run()
	return s, nil
}

// prepare clears what a cut creation left and sets the marker.
func prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keystore: make the directory: %w", err)
	}
	parts := []string{rootFile, rootCopy, rootNext, rootOld, tipFile, engineDir, rootFile + ".new", rootCopy + ".new"}
	marked := exists(dir, createFile)
	for _, p := range parts {
		switch {
		case !exists(dir, p):
		case !marked && (p == rootFile || p == rootCopy):
			return fmt.Errorf("%w: open it, or choose another directory", ErrExists)
		case !marked:
			return fmt.Errorf("%w in part: there is %q, but no root file; restore the root file or choose another directory", ErrExists, p)
		}
	}
	if err := writeSynced(filepath.Join(dir, createFile), []byte("a store is being created\n")); err != nil {
		return fmt.Errorf("keystore: the directory must be writable: %w", err)
	}
	for _, p := range parts {
		if err := os.RemoveAll(filepath.Join(dir, p)); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func (s *Store) create(ctx context.Context, secret []byte, root Root, first func(*Tx) error) (err error) {
	if s.rootKeys, err = newRootKeys(s.arena, s.cfg.Suite, secret); err != nil {
		return err
	}
	if s.keys, err = newKeyring(s.arena, s.cfg.Suite); err != nil {
		return err
	}
	if root.VaultID == [16]byte{} {
		rand.Read(root.VaultID[:])
	}
	if root.Created.IsZero() {
		root.Created = time.Now()
	}
	root.Generation = 1
	if s.root, err = encodeRoot(root, s.keys, s.rootKeys); err != nil {
		return err
	}
	if err := s.openEmpty(ctx); err != nil {
		return err
	}
	return s.begin(ctx, first)
}

// openEmpty opens the engine, and refuses one that holds anything.
func (s *Store) openEmpty(ctx context.Context) error {
	if err := s.openEngine(); err != nil {
		return err
	}
	found, err := s.engine.Scan(ctx, nil, nil, 1)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: the engine is not empty", ErrExists)
	}
	return nil
}

// begin makes the first commit of a store, and then its tip and root files durable.
func (s *Store) begin(ctx context.Context, first func(*Tx) error) (err error) {
	if s.tip, err = createTip(s.cfg.Dir); err != nil {
		return err
	}
	g := s.newGroup()
	defer g.wipe()
	if err := errors.Join(s.ready(), ctx.Err()); err != nil {
		return err
	}
	if err := g.stage(first); err != nil {
		return err
	}
	next := s.head
	next.rootHash, next.nextRoot, next.epoch = s.root.hash(), [32]byte{}, max(s.head.epoch, s.keys.current(Material))
	if err := s.commitGroup(g, next); err != nil {
		return err
	}
	return s.finishCreate()
}

func (s *Store) finishCreate() error {
	if err := s.tip.sync(); err != nil {
		return err
	}
	if err := s.syncName(); err != nil {
		return err
	}
	if err := s.writeRoot(s.root); err != nil {
		return err
	}
	if err := s.step("unmark"); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(s.cfg.Dir, createFile)); err != nil {
		return err
	}
	return syncDir(s.cfg.Dir)
}

// syncName makes the name of the store's directory durable, and those of the
// directories above it: any of them may have been made for the store.
func (s *Store) syncName() error {
	if err := s.step("sync above"); err != nil {
		return err
	}
	dir, err := filepath.Abs(s.cfg.Dir)
	if err != nil {
		return err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	return syncAbove(dir)
}
