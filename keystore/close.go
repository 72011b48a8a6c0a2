package keystore

import (
	"errors"
	"time"
)

// Close syncs the tip, closes the engine and wipes the keys. It works through the open
// handles, not through the directory's path. Operations that are still queued fail with
// ErrClosed. If the engine has no disk space to close, Close returns ErrFull: the keys
// are wiped, no data is lost, and Close may be called again once there is space. Further
// calls return nil.
func (s *Store) Close() error {
	s.closing.Lock()
	defer s.closing.Unlock()
	if !s.closed.Swap(true) {
		close(s.quit)
		<-s.stopped
	}
	s.lead.Lock() // callers that commit in their own goroutine have finished
	defer s.lead.Unlock()
	if s.Failed() == nil && s.tip != nil && s.engine != nil {
		_ = s.lookClosely() // it rewrites lost files; closing continues through the handles
	}
	if s.tipTimer != nil {
		s.tipTimer.Stop()
	}
	return s.release()
}

// release releases everything that is not released yet.
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

// releaseDir closes the directory handles that the store itself opened.
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

// abandon releases the resources of a failed Create or Open. The caller has no store to
// close again, so if the engine has no disk space to close, abandon retries in the
// background until it has.
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

// roomEvery is the interval between attempts to close an engine that had no disk space.
const roomEvery = time.Second
