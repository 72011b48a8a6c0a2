package keystore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"strongroom.example/internal/selftest"
	"strongroom.example/keystore/internal/directory"
	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/head"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/osfile"
	"strongroom.example/keystore/internal/rootfile"
	"strongroom.example/keystore/internal/tip"
)

// Create makes a store in cfg.Dir, and makes the directory, durably, if it is absent.
// root supplies the protectors; a zero vault id or creation time is filled in. first is
// the store's first commit. A Create that fails, or whose cfg.Ready fails, removes the
// files that it made and can be called again. Files that it cannot remove, or that a
// crash leaves, are set aside by the next Create. Errors:
//   - ErrExists: there is a root file, or part of a store that is not the leftover of a
//     Create.
//   - ErrDirectory: the system does not let the store use the directory.
//   - ErrFull: too little disk space.
//   - ErrSelfTest: the suite's cryptography computes wrong results.
func Create(ctx context.Context, cfg Config, root Root, first func(*Tx) error) (*Store, error) {
	if err := selftest.Suite(cfg.Suite.id()); err != nil {
		return nil, err
	}
	return makeStore(ctx, cfg, func(s *Store) error { return s.create(ctx, cfg.Root, root, first) })
}

// makeStore opens the directory, calls fill, which makes the store and its first commit,
// and then writes the root files. If a step fails it removes the files that it made.
func makeStore(ctx context.Context, cfg Config, fill func(*Store) error) (*Store, error) {
	if cfg.Lock == nil {
		if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
			return nil, fault.Environment("make", cfg.Dir, err)
		}
	}
	s, err := newStore(cfg)
	if err != nil {
		return nil, err
	}
	if err := prepare(s.dir); err != nil {
		return nil, errors.Join(fault.Environment("write in", s.dir.Path(), err), s.releaseDir())
	}
	if err := fill(s); err != nil {
		return nil, errors.Join(fault.Environment("make a store in", s.dir.Path(), err), s.undo(s.abandon))
	}
	go s.run()
	if err := s.certain(ctx); err != nil {
		return nil, errors.Join(fault.Environment("make a store in", s.dir.Path(), err), s.undo(s.Close))
	}
	return s, nil
}

// The names of the store's other files in its directory.
const (
	createFile = "creating" // the marker of a Create in progress
	tipFile    = "tip"
	engineDir  = "store"
)

// parts are the names of a store's files in its directory, without the lock.
var parts = []string{rootfile.Name, rootfile.Copy, rootfile.Next, rootfile.Old, rootfile.Name + ".new", rootfile.Copy + ".new", tipFile, tipFile + ".new",
	JournalFile, JournalFile + ".new", engineDir, repairedDir}

// prepare writes the marker of a Create in progress, and sets aside the leftovers of an
// interrupted Create. It removes nothing, because the marker alone does not prove that
// the files are leftovers: if the root files are put back later, the files that were set
// aside are a vault again.
func prepare(d *directory.Dir) error {
	for _, name := range []string{rootfile.Name, rootfile.Copy} {
		if d.Exists(name) {
			return fmt.Errorf("%w: %s: open it, or choose another directory", ErrExists, d.Join(name))
		}
	}
	marked := d.Exists(createFile)
	for _, name := range parts {
		if d.Exists(name) && !marked {
			return fmt.Errorf("%w in part: there is %s, but no root file; restore the root file or choose another directory", ErrExists, d.Join(name))
		}
	}
	for _, name := range parts {
		if err := d.SetAside(name); err != nil {
			return err
		}
	}
	if err := d.WriteSynced(createFile, []byte("a store is being created\n")); err != nil {
		return errors.Join(err, d.Erase(createFile))
	}
	return d.Sync()
}

// undo closes a store that Create made and removes its files. It leaves them if the
// engine has no disk space to close, because the engine still uses them.
func (s *Store) undo(end func() error) error {
	err := end()
	if s.engine != nil && !s.ended {
		return err
	}
	d, errDir := s.dir, error(nil)
	if s.cfg.Lock == nil { // end closed the handle
		if d, errDir = directory.Open(s.cfg.Dir); errDir != nil {
			return errors.Join(err, errDir)
		}
		defer d.Close()
	}
	for _, name := range append(slices.Clone(parts), createFile) { // the marker last
		err = errors.Join(err, d.RemoveAll(name))
	}
	return errors.Join(err, d.Sync())
}

func (s *Store) create(ctx context.Context, secret []byte, root Root, first func(*Tx) error) (err error) {
	if s.rootKeys, err = rootfile.NewKeys(s.arena, s.cfg.Suite.id(), secret); err != nil {
		return err
	}
	if s.keys, err = keyring.New(s.arena, s.cfg.Suite.id()); err != nil {
		return err
	}
	if root.VaultID == [16]byte{} {
		rand.Read(root.VaultID[:])
	}
	if root.Created.IsZero() {
		root.Created = time.Now()
	}
	root.Generation = 1
	if s.root, err = sealRoot(root, s.keys, s.rootKeys); err != nil {
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
	found, err := s.scanSealed(ctx, nil, nil, 1)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: the engine is not empty", ErrExists)
	}
	return nil
}

// begin makes the first commit of a store with a new root file.
func (s *Store) begin(ctx context.Context, first func(*Tx) error) (err error) {
	return s.firstCommit(ctx, func(next *head.Head) {
		next.RootHash, next.NextRoot, next.Epoch = s.root.file.Hash(), [32]byte{}, max(s.head.Epoch, s.keys.Current(keyring.Material))
	}, first)
}

// firstCommit makes the tip and the journal and commits first, with the head as change
// leaves it.
func (s *Store) firstCommit(ctx context.Context, change func(next *head.Head), first func(*Tx) error) (err error) {
	if s.tip, err = tip.Create(s.dir, s.named(tipFile)); err != nil {
		return err
	}
	if err := errors.Join(s.ready(false), ctx.Err()); err != nil {
		return err
	}
	if err := s.rewriteJournal(); err != nil {
		return err
	}
	g := s.newGroup()
	defer g.wipe()
	if err := g.stage(first); err != nil {
		return err
	}
	next := s.head
	change(&next)
	return s.commitGroup(g, next)
}

// certain makes the store permanent: from the moment at which the first root file has its
// name, Open finds the store after a crash.
func (s *Store) certain(ctx context.Context) error {
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(s); err != nil {
			return err
		}
	}
	s.lead.Lock()
	defer s.lead.Unlock()
	if err := errors.Join(s.Failed(), ctx.Err()); err != nil {
		return err
	}
	if err := s.finishCreate(); err != nil {
		return err
	}
	return s.settleEpoch() // a restored store may be in the middle of a change
}

func (s *Store) finishCreate() error {
	if err := s.flushTip(); err != nil {
		return err
	}
	if err := s.syncName(); err != nil {
		return err
	}
	for _, name := range []string{rootfile.Name, rootfile.Copy} {
		if err := s.copies().Put(name, s.root.file.Bytes()); err != nil {
			return err
		}
	}
	s.whole = true
	return s.unmark()
}

// unmark removes the marker of a Create in progress, because the store is complete. Open
// also calls it, for a Create that was interrupted after it wrote the root files.
func (s *Store) unmark() error {
	if err := s.step("unmark"); err != nil {
		return err
	}
	if err := s.dir.Remove(createFile); err != nil {
		return err
	}
	return s.dir.Sync()
}

// syncName makes the name of the store's directory durable, and the names of the
// directories above it, because any of them may have been made for this store.
func (s *Store) syncName() error {
	if err := s.step("sync above"); err != nil {
		return err
	}
	dir, err := filepath.EvalSymlinks(s.dir.Path())
	if err != nil {
		return err
	}
	return osfile.SyncAbove(dir)
}
