package keystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// openEngine opens the engine in its directory, which is made if it is absent. Where the
// system has paths that go through an open handle, the engine gets such a path: every
// file that it opens, renames or removes is then in this directory, even if another
// directory is put in its place.
func (s *Store) openEngine() error {
	err := s.dir.root.Mkdir(engineDir, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return environment("make", s.dir.join(engineDir), err)
	}
	if s.inner, err = s.dir.openSub(engineDir); err != nil {
		return err
	}
	s.engineNames = watched{dir: s.inner.self}
	path, release := handlePath(s.inner.self, s.inner.path)
	e := &placedEngine{handle: path, path: s.inner.path, release: release, here: func() error {
		return errors.Join(s.dir.isHere(), s.dir.isAt(engineDir, s.inner.self))
	}}
	if e.Engine, err = s.newEngine(path); err != nil {
		return environment("open the engine in", e.path, errors.Join(e.named(err), release()))
	}
	s.engine = e
	return s.inner.restrictAll()
}

// placedEngine is an engine that was opened through the path of a handle. Its errors name
// the directory's own path.
type placedEngine struct {
	Engine
	handle, path string
	release      func() error
	here         func() error // ErrReplaced if path is not the engine's directory any more
}

func (e *placedEngine) named(err error) error {
	if err == nil || e.handle == e.path {
		return err
	}
	return &placedError{err: err, handle: e.handle, path: e.path}
}

// Get calls the engine's Get.
func (e *placedEngine) Get(ctx context.Context, key []byte) ([]byte, error) {
	value, err := e.Engine.Get(ctx, key)
	return value, e.named(err)
}

// Scan calls the engine's Scan.
func (e *placedEngine) Scan(ctx context.Context, prefix, after []byte, limit int) ([]Pair, error) {
	pairs, err := e.Engine.Scan(ctx, prefix, after, limit)
	return pairs, e.named(err)
}

// Commit calls the engine's Commit.
func (e *placedEngine) Commit(ctx context.Context, b Batch) error {
	return e.named(e.Engine.Commit(ctx, b))
}

// Intact calls the engine's Intact, and returns nil if the engine does not implement it.
func (e *placedEngine) Intact() error {
	if i, ok := e.Engine.(Intact); ok {
		return e.named(i.Intact())
	}
	return nil
}

// Rekey calls the engine's Rekey, and returns nil if the engine does not implement it.
func (e *placedEngine) Rekey(mac func(parts ...[]byte) [32]byte) error {
	if r, ok := e.Engine.(RekeyEngine); ok {
		return e.named(r.Rekey(mac))
	}
	return nil
}

// Close closes the engine. It releases the handle only after a clean Close, because an
// engine that failed may continue to use its path, which would name another file once the
// descriptor number is reused. An engine without a handle is not closed at all if its
// path names another directory, because it would write there; its files stay locked until
// the process ends.
func (e *placedEngine) Close() error {
	if e.handle == e.path {
		if err := e.here(); err != nil {
			return fmt.Errorf("%w; the engine was not closed", err)
		}
	}
	err := e.Engine.Close()
	if err == nil {
		err = e.release()
		e.release = func() error { return nil }
	}
	return e.named(err)
}

// placedError is an engine's error whose text has the path of the directory in place of
// the path of the handle.
type placedError struct {
	err          error
	handle, path string
}

// Error returns the engine's text with the directory's path.
func (e *placedError) Error() string { return strings.ReplaceAll(e.err.Error(), e.handle, e.path) }

// Unwrap returns the engine's error.
func (e *placedError) Unwrap() error { return e.err }
