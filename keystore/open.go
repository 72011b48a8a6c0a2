package keystore

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/internal/selftest"
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
//   - ErrCorrupt: a stored byte is not what was written.
//   - ErrFull: the disk has no space for the repairs.
//   - ErrDirectory: the system does not let the store use its directory.
//   - ErrSelfTest: the suite's cryptography computes wrong results.
//   - The errors of cfg.Admit and cfg.Accept.
//
// If the engine has no disk space to close after a failed Open, it is closed in the
// background as soon as there is some; until then the next Open returns ErrInUse.
func Open(ctx context.Context, cfg Config, root *Root) (*Store, error) {
	if cfg.Suite != root.suite {
		return nil, fmt.Errorf("%w: the root file names suite %v, not %v", ErrCorrupt, root.suite, cfg.Suite)
	}
	if err := selftest.Suite(cfg.Suite); err != nil {
		return nil, err
	}
	s, err := newStore(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx, root, append([][]byte{cfg.Root}, cfg.Roots...)); err != nil {
		return nil, errors.Join(environment("open the store in", s.dir.path, err), s.abandon())
	}
	go s.run()
	return s, nil
}

func (s *Store) open(ctx context.Context, root *Root, secrets [][]byte) error {
	defer s.dropUnlocked()
	if err := s.unlock(root, secrets); err != nil {
		return err
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
	if err := s.checkTail(ctx); err != nil {
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
	if s.dir.exists(createFile) {
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
	if s.head.epoch > s.keys.current(Material) {
		if err := s.beginEpoch(nil); err != nil {
			return err
		}
	}
	if !s.keys.pastMaterial() {
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
