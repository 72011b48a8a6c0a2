package keystore

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/internal/selftest"
)

// Open opens the store whose root file ReadRoot answered. It checks the root
// file's MAC (ErrUnlock), the head against the tip (ErrRolledBack), every record
// against the census, and the tail of the log (ErrCorrupt). A replacement of the
// root file that was cut short is finished or abandoned, a bad copy healed, a
// change of epoch ended; ErrFull if the disk has no room for that. An engine that has
// no room to close after a failed Open is closed later, by itself; until then the next
// Open is ErrInUse. ErrSelfTest if the suite's cryptography computes wrong results.
func Open(ctx context.Context, cfg Config, root *Root) (*Store, error) {
	if cfg.Suite != root.suite {
		return nil, fmt.Errorf("%w: the root file names suite %v, not %v", ErrCorrupt, root.suite, cfg.Suite)
	}
	if err := selftest.Suite(cfg.Suite); err != nil {
		return nil, err
	}
	s := newStore(cfg)
	if err := s.open(ctx, cfg.Root, root); err != nil {
		return nil, errors.Join(err, s.abandon())
	}
	go s.run()
	return s, nil
}

func (s *Store) open(ctx context.Context, secret []byte, root *Root) (err error) {
	if s.rootKeys, err = newRootKeys(s.arena, root.suite, secret); err != nil {
		return err
	}
	if err := s.unlock(root); err != nil {
		return err
	}
	if err := s.openEngine(); err != nil {
		return err
	}
	if err := s.checkHead(ctx); err != nil {
		return err
	}
	if err := s.chooseRoot(); err != nil {
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
	if err := s.settleEpoch(); err != nil {
		return err
	}
	return s.writeTip(true)
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
