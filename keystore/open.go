package keystore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"strongroom.example/internal/selftest"
	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/rootfile"
)

// Open opens the store whose root file is root. In this order, it
//   - finds the root files in the directory that cfg.Root and cfg.Roots authenticate,
//     and calls cfg.Admit for each,
//   - checks the head against the tip, and selects the root file that the head names,
//   - calls cfg.Accept,
//   - checks every record against the census, and the tail of the log,
//   - completes or abandons an interrupted replacement of the root file, records a bad
//     copy by cfg.Healed and repairs it, and completes a change of epoch.
//
// Errors:
//   - ErrNoStore: the directory does not exist.
//   - ErrUnlock: no given root authenticates a root file.
//   - ErrRolledBack: the store is older than its tip, or the root file that the head
//     names is missing, or a newer one is there.
//   - ErrCorrupt: a stored byte is not the one that was written.
//   - ErrFull: the disk has no space for the repairs.
//
// The text of ErrCorrupt and ErrRolledBack names Repair if Repair can rebuild the store.
// Other errors:
//   - ErrDirectory: the system does not let the store use its directory.
//   - ErrSelfTest: the suite's cryptography computes wrong results.
//   - The errors of cfg.Admit and cfg.Accept.
//
// If the engine has no disk space to close after a failed Open, it is closed in the
// background as soon as there is some; until then the next Open returns ErrInUse.
func Open(ctx context.Context, cfg Config, root *Root) (*Store, error) {
	s, err := openStore(ctx, cfg, root)
	if err != nil {
		return nil, adviseRepair(ctx, cfg, root, err)
	}
	return s, nil
}

func openStore(ctx context.Context, cfg Config, root *Root) (*Store, error) {
	if cfg.Suite.id() != root.suite {
		return nil, fmt.Errorf("%w: the root file names suite %v, not %v", ErrCorrupt, root.suite, cfg.Suite)
	}
	if err := selftest.Suite(cfg.Suite.id()); err != nil {
		return nil, err
	}
	s, err := newStore(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx, root, append([][]byte{cfg.Root}, cfg.Roots...)); err != nil {
		return nil, errors.Join(fault.Environment("open the store in", s.dir.Path(), err), s.abandon())
	}
	go s.run()
	return s, nil
}

func (s *Store) open(ctx context.Context, root *Root, secrets [][]byte) error {
	defer s.dropUnlocked()
	if err := s.unlock(root, secrets); err != nil {
		return err
	}
	if _, err := s.completeRepair(); err != nil {
		return err
	}
	if s.cfg.OpenKeyedEngine != nil && !s.dir.Exists(engineDir) { // another engine may keep its data elsewhere
		return fmt.Errorf("%w: %s is missing", ErrCorrupt, s.dir.Join(engineDir))
	}
	if err := s.openEngine(); err != nil {
		return err
	}
	if err := s.openHead(ctx); err != nil {
		return err
	}
	if err := s.chooseRoot(); err != nil {
		return err
	}
	if err := s.accept(); err != nil {
		return err
	}
	if err := s.takeCensus(ctx, s.census); err != nil {
		return err
	}
	if err := errors.Join(s.loadCut(ctx), s.loadLost(ctx)); err != nil {
		return err
	}
	if err := s.checkTail(ctx); err != nil {
		return err
	}
	if err := s.openJournal(); err != nil {
		return err
	}
	if err := s.settleRoot(); err != nil {
		return err
	}
	s.whole = true
	s.dropUnlocked() // a change of epoch replaces the keys in force
	if err := s.settleEpoch(); err != nil {
		return err
	}
	if s.dir.Exists(createFile) {
		if err := s.unmark(); err != nil {
			return err
		}
	}
	return s.writeTip(true)
}

// accept calls Config.Accept with the root file in force.
func (s *Store) accept() error {
	if s.cfg.Accept == nil {
		return nil
	}
	return s.cfg.Accept(s.root)
}

// settleEpoch completes an interrupted change of epoch. The head records the change even
// if the root file that began it is lost.
func (s *Store) settleEpoch() error {
	if s.head.Epoch > s.keys.Current(keyring.Material) {
		if err := s.beginEpoch(nil); err != nil {
			return err
		}
	}
	if !s.keys.PastMaterial() {
		return nil
	}
	err := s.endEpoch(func(step func() error) error {
		if err := s.resumeRoot(); err != nil {
			return err
		}
		return step()
	})
	if err != nil {
		return err
	}
	return s.resumeRoot()
}

// An unlockedRoot is a root file whose MAC holds under one of the roots given to Open,
// with the keys opened by that root. Several files may share rootKeys.
type unlockedRoot struct {
	root     *Root
	keys     *keyring.Keyring
	rootKeys *rootfile.Keys
}

// unlock finds the root files that the given roots authenticate, among the file given to
// Open and those in the directory, and calls Config.Admit to refuse files of another
// vault. If no file is left, unlock returns the first error, which is that of the given
// file if it does not authenticate.
func (s *Store) unlock(given *Root, roots [][]byte) error {
	files := []*Root{given}
	inDir, err := readRoots(s.dir)
	if fault.IsShortage(err) {
		return fault.Environment("read the root files in", s.dir.Path(), err)
	}
	files = append(files, inDir...)
	for _, root := range roots {
		keys, err := rootfile.NewKeys(s.arena, s.cfg.Suite.id(), root)
		if err != nil {
			return err
		}
		s.derived = append(s.derived, keys)
	}
	var first error
	for _, f := range files {
		known := func(u unlockedRoot) bool { return bytes.Equal(u.root.file.Bytes(), f.file.Bytes()) }
		if f.suite != s.cfg.Suite.id() || slices.ContainsFunc(s.unlocked, known) {
			continue
		}
		if err := s.unlockFile(f); err != nil && first == nil {
			first = err
		}
	}
	if len(s.unlocked) == 0 {
		return first
	}
	newer := func(a, b unlockedRoot) int { return cmp.Compare(b.root.Generation, a.root.Generation) }
	slices.SortStableFunc(s.unlocked, newer)
	return nil
}

// unlockFile tries each root on one file.
func (s *Store) unlockFile(f *Root) error {
	var first error
	for _, rootKeys := range s.derived {
		keys, err := f.file.Unlock(s.arena, rootKeys)
		if err == nil {
			if err = s.admit(f, keys); err == nil {
				s.unlocked = append(s.unlocked, unlockedRoot{f, keys, rootKeys})
				return nil
			}
			keys.Free()
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// admit calls Config.Admit with an authenticated file.
func (s *Store) admit(f *Root, keys *keyring.Keyring) error {
	if s.cfg.Admit == nil {
		return nil
	}
	return s.cfg.Admit(f, func(label string, dst []byte) {
		keys.Derive(dst, labelSecret, []byte(label))
	})
}

// use puts an unlocked file in force.
func (s *Store) use(u unlockedRoot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root, s.keys, s.rootKeys = u.root, u.keys, u.rootKeys
}

// openHead opens the head with the newest unlocked file whose keyring has the head's
// epoch, and checks the head against the tip. If no file works it returns the error of
// the newest.
func (s *Store) openHead(ctx context.Context) error {
	var first error
	for _, u := range s.unlocked {
		s.use(u)
		err := s.checkHead(ctx)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
		if s.tip != nil {
			s.tip.Close()
			s.tip = nil
		}
	}
	return first
}

// chooseRoot puts the root file that the head names in force: the next one if it was
// written and a given root opens it, otherwise the current one. It returns ErrRolledBack
// if neither is there.
func (s *Store) chooseRoot() error {
	for _, want := range [][32]byte{s.head.NextRoot, s.head.RootHash} {
		for _, u := range s.unlocked {
			if want != [32]byte{} && u.root.file.Hash() == want {
				s.use(u)
				return s.checkGenerations()
			}
		}
	}
	return fmt.Errorf("%w: the root file is not the one last written; %s", ErrRolledBack, putBack)
}

// checkGenerations returns ErrRolledBack if an authenticated root file of this store is
// newer than the one that the head names. Only root.next may be newer, by one, after a
// crash between writing it and committing the head that names it. root and root.copy are
// written after that commit is durable, so a newer one shows that the head and the tip
// were put back from an earlier time.
func (s *Store) checkGenerations() error {
	for _, u := range s.unlocked {
		f := u.root
		if !s.ours(u) || f.Generation <= s.root.Generation {
			continue
		}
		if f.Generation == s.root.Generation+1 && !s.isCopy(f) {
			continue
		}
		return fmt.Errorf("%w: a root file of generation %d stands beside a store that names generation %d; "+
			"put back store and tip of the same moment, or a copy of the whole directory", ErrRolledBack, f.Generation, s.root.Generation)
	}
	return nil
}

// ours reports whether a root file belongs to this store. It compares the store's secret,
// which no change of the root changes, and not the vault id, which could be copied into a
// file that is authentic under another root.
func (s *Store) ours(u unlockedRoot) bool { return u.keys.SameSecret(s.keys) }

// isCopy reports whether root or root.copy has the bytes of f.
func (s *Store) isCopy(f *Root) bool {
	return slices.ContainsFunc([]string{rootfile.Name, rootfile.Copy}, func(name string) bool {
		r, err := rootfile.Read(s.dir, name)
		return err == nil && bytes.Equal(r.Bytes(), f.file.Bytes())
	})
}

// dropUnlocked wipes the keys of the files that are not in force. It may be called more
// than once.
func (s *Store) dropUnlocked() {
	for _, u := range s.unlocked {
		if u.keys != s.keys {
			u.keys.Free()
		}
	}
	for _, k := range s.derived {
		if k != s.rootKeys {
			k.Free()
		}
	}
	s.unlocked, s.derived = nil, nil
}

// AuthenticatesRoot reports whether root is the root of the store. It returns false after
// Close.
func (s *Store) AuthenticatesRoot(root []byte) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.keys != nil && s.root.Authenticates(root)
}

// labelSecret is the KDF label of Store.Secret.
const labelSecret = "strongroom/secret"
