package keystore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// Config is what Create and Open need.
type Config struct {
	Dir        string
	Suite      suite.ID
	Root       []byte // 32 bytes; read during the call only, the caller wipes it
	OpenEngine func(dir string) (Engine, error)
	Log        Appender
	// MinFree is the free disk, in bytes, below which commits answer ErrFull.
	// 0 means 64 MiB.
	MinFree uint64

	step func(name string) error // asked before each step that a crash may cut
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	cfg    Config
	engine Engine
	arena  *lockedmem.Arena
	tip    *tip

	mu       sync.RWMutex // guards what follows; only the committer writes it
	keys     *keyring
	rootKeys *rootKeys
	root     *Root
	head     head
	sealed   []byte // the head's bytes in the engine
	census   *census
	pending  map[string]pendingEntry

	queue   chan *job
	quit    chan struct{}
	stopped chan struct{}
	closing sync.Once
	closed  atomic.Bool
	failed  atomic.Pointer[error]
	slab    []byte
	sealer  sealer
}

// pendingEntry is what a batch under way makes of a census entry.
type pendingEntry struct {
	entry
	deleted bool
}

func newStore(cfg Config) *Store {
	if cfg.MinFree == 0 {
		cfg.MinFree = 64 << 20
	}
	cfg.Root = nil
	return &Store{
		cfg: cfg, arena: lockedmem.New(0), census: newCensus(),
		queue: make(chan *job, 1024), quit: make(chan struct{}), stopped: make(chan struct{}),
	}
}

func (s *Store) step(name string) error {
	if s.cfg.step == nil {
		return nil
	}
	return s.cfg.step(name)
}

// Secret fills dst with a secret that lasts as long as the vault, one for each
// label. The caller wipes it. After Close dst is left as it is.
func (s *Store) Secret(label string, dst []byte) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keys != nil {
		s.keys.suite.KDF(dst, s.keys.secret(), "strongroom/secret", []byte(label))
	}
}

// Root is the public part of the current root file.
func (s *Store) Root() Root {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.root.public()
}

// Get answers the durable record under path: ErrNotFound, or ErrCorrupt with
// the path if it is not what the census knows.
func (s *Store) Get(ctx context.Context, path string) (Record, error) {
	for {
		s.mu.RLock()
		if s.keys == nil {
			s.mu.RUnlock()
			return Record{}, ErrClosed
		}
		generation := s.head.generation
		_, pending := s.pending[path]
		rec, err := s.get(ctx, path)
		s.mu.RUnlock()
		// A batch may have landed between the engine and the census.
		if !errors.Is(err, ErrCorrupt) || (!pending && generation == s.generation()) {
			return rec, err
		}
		if ctx.Err() != nil {
			return Record{}, ctx.Err()
		}
		if f := s.Failed(); f != nil {
			return Record{}, f
		}
	}
}

func (s *Store) generation() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.head.generation
}

// get reads path under the lock.
func (s *Store) get(ctx context.Context, path string) (Record, error) {
	want, known := s.census.entries[path]
	next, pending := s.pending[path]
	if !known && !pending {
		return Record{}, ErrNotFound
	}
	at := s.keys.engineKey(path)
	sealed, err := s.engine.Get(ctx, at)
	if errors.Is(err, ErrNotFound) {
		if !known || (pending && next.deleted) {
			return Record{}, ErrNotFound
		}
		return Record{}, fmt.Errorf("%w: record %q is missing", ErrCorrupt, path)
	}
	if err != nil {
		return Record{}, err
	}
	hash := s.keys.suite.Hash(sealed)
	if !(known && hash == want.hash) && !(pending && !next.deleted && hash == next.hash) {
		return Record{}, fmt.Errorf("%w: record %q is not the one last written", ErrCorrupt, path)
	}
	var o sealer
	id, got, value, err := o.open(s.keys, at, sealed)
	if err != nil || got != path {
		return Record{}, fmt.Errorf("%w: record %q does not open", ErrCorrupt, path)
	}
	return Record{Path: path, Version: id.version, Value: value}, nil
}

// Version is the durable version of path, 0 if it is absent.
func (s *Store) Version(path string) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.census.entries[path].version
}

// Paths lists the paths that start with prefix, sorted.
func (s *Store) Paths(prefix string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.census.paths(prefix)
}

// LogState is the durable state of the audit log.
func (s *Store) LogState() LogState {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.head.log.clone()
}

// Failed is ErrUnavailable with its cause once the store failed closed.
func (s *Store) Failed() error {
	if p := s.failed.Load(); p != nil {
		return *p
	}
	return nil
}

func (s *Store) fail(cause error) error {
	err := fmt.Errorf("%w: %w", ErrUnavailable, cause)
	s.failed.CompareAndSwap(nil, &err)
	return err
}

// Close syncs the tip, closes the engine and wipes the keys. Operations that
// still wait get ErrClosed.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		s.closed.Store(true)
		close(s.quit)
		<-s.stopped
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

func (s *Store) openEngine() (err error) {
	s.engine, err = s.cfg.OpenEngine(filepath.Join(s.cfg.Dir, engineDir))
	return err
}
