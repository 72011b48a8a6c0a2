package keystore

import (
	"errors"
	"time"
)

// Close syncs the tip, closes the engine and wipes the keys, by the handles that
// the store has open and not by its path. Operations that
// still wait get ErrClosed. ErrFull if the engine has no room to close: then all
// else is done, nothing is lost, and Close may be called again once there is room.
// Other repeats answer nil.
func (s *Store) Close() error {
	s.closing.Lock()
	defer s.closing.Unlock()
	if !s.closed.Swap(true) {
		close(s.quit)
		<-s.stopped
	}
	s.lead.Lock() // those who serve themselves have done so
	defer s.lead.Unlock()
	if s.Failed() == nil && s.tip != nil && s.engine != nil {
		_ = s.lookClosely() // what it finds is written again, and Close goes on by handles
	}
	if s.tipTimer != nil {
		s.tipTimer.Stop()
	}
	return s.release()
}

// release gives back what is not given back yet.
func (s *Store) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.tip != nil {
		errs = append(errs, s.tip.sync(), s.tip.file.Close())
	}
	if s.engine != nil && !s.ended {
		err := s.engine.Close()
		s.ended = !errors.Is(err, ErrFull)
		if s.ended {
			err = errors.Join(err, s.inner.restrictAll())
		}
		errs = append(errs, err)
	}
	s.engineKey.Free()
	if s.keys != nil {
		s.keys.free()
	}
	if s.rootKeys != nil {
		s.rootKeys.free()
	}
	s.tip, s.keys, s.rootKeys = nil, nil, nil
	if s.ended || s.engine == nil {
		errs = append(errs, s.releaseDir())
	}
	return errors.Join(append(errs, s.arena.Close())...)
}

// releaseDir closes the handles of the directory that are the store's own.
func (s *Store) releaseDir() error {
	if s.dirReleased {
		return nil
	}
	s.dirReleased = true
	var errs []error
	if s.inner != nil {
		errs = append(errs, s.inner.close())
	}
	if s.cfg.Lock == nil {
		errs = append(errs, s.dir.close())
	}
	return errors.Join(errs...)
}

// abandon releases what a failed Create or Open had taken. Nobody can ask again for
// an engine that has no room to close, so it is closed here as soon as there is.
func (s *Store) abandon() error {
	err := s.release()
	if s.engine != nil && !s.ended {
		go func() {
			for errors.Is(s.engine.Close(), ErrFull) {
				time.Sleep(roomEvery)
			}
		}()
	}
	return err
}

// roomEvery is how often an engine without room to close is asked again.
const roomEvery = time.Second
