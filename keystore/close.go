package keystore

import "errors"

// Close syncs the tip, closes the engine and wipes the keys. Operations that
// still wait get ErrClosed.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		s.closed.Store(true)
		close(s.quit)
		<-s.stopped
		s.lead.Lock() // those who serve themselves have done so
		defer s.lead.Unlock()
		if s.tipTimer != nil {
			s.tipTimer.Stop()
		}
		err = s.release()
	})
	return err
}

func (s *Store) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.tip != nil {
		errs = append(errs, s.tip.sync(), s.tip.file.Close())
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	if s.keys != nil {
		s.keys.free()
	}
	if s.rootKeys != nil {
		s.rootKeys.free()
	}
	s.keys, s.rootKeys = nil, nil
	return errors.Join(append(errs, s.arena.Close())...)
}
