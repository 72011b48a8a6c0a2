package keystore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"fmt"
	"slices"
)

// An unlockedRoot is a root file whose MAC holds under one of the roots given to Open,
// with the keys opened by that root. Several files may share rootKeys.
type unlockedRoot struct {
	file     *Root
	keys     *keyring
	rootKeys *rootKeys
}

// unlock finds the root files that the given roots authenticate, among the file given to
// Open and those in the directory, and calls Config.Admit to refuse files of another
// vault. If no file is left, unlock returns the first error, which is that of the given
// file if it does not authenticate.
func (s *Store) unlock(given *Root, roots [][]byte) error {
	files := []*Root{given}
	if inDir, err := s.dir.readRoots(); err == nil {
		files = append(files, inDir...)
	}
	for _, root := range roots {
		keys, err := newRootKeys(s.arena, s.cfg.Suite, root)
		if err != nil {
			return err
		}
		s.derived = append(s.derived, keys)
	}
	var first error
	for _, f := range files {
		known := func(u unlockedRoot) bool { return bytes.Equal(u.file.raw, f.raw) }
		if f.suite != s.cfg.Suite || slices.ContainsFunc(s.unlocked, known) {
			continue
		}
		if err := s.unlockFile(f); err != nil && first == nil {
			first = err
		}
	}
	if len(s.unlocked) == 0 {
		return first
	}
	newer := func(a, b unlockedRoot) int { return cmp.Compare(b.file.Generation, a.file.Generation) }
	slices.SortStableFunc(s.unlocked, newer)
	return nil
}

// unlockFile tries each root on one file.
func (s *Store) unlockFile(f *Root) error {
	var first error
	for _, rootKeys := range s.derived {
		keys, err := f.unlock(s.arena, rootKeys)
		if err == nil {
			if err = s.admit(f, keys); err == nil {
				s.unlocked = append(s.unlocked, unlockedRoot{f, keys, rootKeys})
				return nil
			}
			keys.free()
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// admit calls Config.Admit with an authenticated file.
func (s *Store) admit(f *Root, keys *keyring) error {
	if s.cfg.Admit == nil {
		return nil
	}
	return s.cfg.Admit(f, func(label string, dst []byte) {
		f.suite.KDF(dst, keys.secret(), labelSecret, []byte(label))
	})
}

// use puts an unlocked file in force.
func (s *Store) use(u unlockedRoot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root, s.keys, s.rootKeys = u.file, u.keys, u.rootKeys
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
			s.tip.file.Close()
			s.tip = nil
		}
	}
	return first
}

// chooseRoot puts the root file that the head names in force: the next one if it was
// written and a given root opens it, otherwise the current one. It returns ErrRolledBack
// if neither is there.
func (s *Store) chooseRoot() error {
	for _, want := range [][32]byte{s.head.nextRoot, s.head.rootHash} {
		for _, u := range s.unlocked {
			if want != [32]byte{} && u.file.hash() == want {
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
		f := u.file
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
func (s *Store) ours(u unlockedRoot) bool { return hmac.Equal(u.keys.secret(), s.keys.secret()) }

// isCopy reports whether root or root.copy has the bytes of f.
func (s *Store) isCopy(f *Root) bool {
	return slices.ContainsFunc([]string{rootFile, rootCopy}, func(name string) bool {
		r, err := s.dir.readRootFile(name)
		return err == nil && bytes.Equal(r.raw, f.raw)
	})
}

// dropUnlocked wipes the keys of the files that are not in force. It may be called more
// than once.
func (s *Store) dropUnlocked() {
	for _, u := range s.unlocked {
		if u.keys != s.keys {
			u.keys.free()
		}
	}
	for _, k := range s.derived {
		if k != s.rootKeys {
			k.free()
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
