package keystore

import "fmt"

// ready returns nil if a batch may be tried. It first resumes a replacement of the root
// file that a shortage interrupted. Errors: ErrUnavailable, ErrFull if less than
// Config.MinFree is free, and that of the shortage.
func (s *Store) ready() error {
	if err := s.Failed(); err != nil {
		return err
	}
	if err := s.resumeRoot(); err != nil {
		return err
	}
	free, err := s.dir.freeDisk()
	if err != nil {
		return err
	}
	if free < s.cfg.MinFree {
		return fmt.Errorf("%w: %d bytes free, %d needed", ErrFull, free, s.cfg.MinFree)
	}
	return nil
}

// withRoom returns f with a preceding call of ready.
func (s *Store) withRoom(f func() error) func() error {
	return func() error {
		if err := s.ready(); err != nil {
			return err
		}
		return f()
	}
}
