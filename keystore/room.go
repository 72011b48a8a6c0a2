package keystore

import "fmt"

// minReserve is the least free disk space, in bytes, below which nothing is committed: a
// segment of the redo log.
const minReserve = 4 << 20

// need returns the free disk space that a commit needs. A commit in the reserve needs a
// quarter of Config.MinFree, at least minReserve, and never more than another commit.
func (s *Store) need(reserve bool) uint64 {
	if reserve {
		return min(s.cfg.MinFree, max(s.cfg.MinFree/4, minReserve))
	}
	return s.cfg.MinFree
}

// enough returns ErrFull if free bytes do not suffice for a commit.
func (s *Store) enough(free uint64, reserve bool) error {
	if need := s.need(reserve); free < need {
		return fmt.Errorf("%w: %d bytes free, %d needed", ErrFull, free, need)
	}
	return nil
}

// room returns the free disk space before a batch is tried. It first resumes a
// replacement of the root file that a shortage interrupted. Errors: ErrUnavailable, and
// that of the shortage.
func (s *Store) room() (free uint64, err error) {
	if err := s.Failed(); err != nil {
		return 0, err
	}
	if err := s.resumeRoot(); err != nil {
		return 0, err
	}
	if s.cfg.freeDisk != nil {
		return s.cfg.freeDisk()
	}
	return s.dir.freeDisk()
}

// ready returns nil if a batch may be tried: room's error, or that of enough.
func (s *Store) ready(reserve bool) error {
	free, err := s.room()
	if err != nil {
		return err
	}
	return s.enough(free, reserve)
}

// withRoom returns f with a preceding call of ready.
func (s *Store) withRoom(reserve bool, f func() error) func() error {
	return func() error {
		if err := s.ready(reserve); err != nil {
			return err
		}
		return f()
	}
}
