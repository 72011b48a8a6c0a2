package keystore

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/internal/selftest"
)

// Open opens the store of which root is a root file. It finds the root files in the
// directory that cfg.Root and cfg.Roots authenticate (ErrUnlock if there is none), has
// cfg.Admit judge each, checks the head against the tip, and takes the file that the head
// names (ErrRolledBack if that is not among them, or one of them is newer). After
// cfg.Accept it checks every record against the census, and the tail of the log
// (ErrCorrupt). A replacement of the root file that was cut short is then finished or
// abandoned, a bad copy recorded by cfg.Healed and healed, a change of epoch ended;
// ErrFull if the disk has no room for that. ErrDirectory if the system does not allow it;
// ErrSelfTest if the suite's cryptography computes wrong results.
//
// An engine that has no room to close after a failed Open is closed later, by itself;
// until then the next Open returns ErrInUse.
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

// accept asks Config.Accept about the root file in force.
func (s *Store) accept() error {
	if s.cfg.Accept == nil {
		return nil
	}
	return s.cfg.Accept(s.root)
}

// settleEpoch ends a change of epoch that was cut short. The head has it on record
// even if the root file that began it is lost.
func (s *Store) settleEpoch() error {
	if s.head.epoch > s.keys.current(Material) {
		if err := s.beginEpoch(nil); err != nil {
			return err
		}
	}
	if !s.keys.pastMaterial() {
		return nil
	}
	return s.endEpoch(func(step func() error) error { return step() })
}
