package keystore

import (
	"sync"
	"sync/atomic"
	"time"

	"strongroom.example/internal/lockedmem"
)

// Config configures Create and Open. It holds the root and therefore prints redacted.
type Config struct {
	redacted
	// Dir is the store's directory. A relative path is resolved when Create or Open is
	// called. Dir is not used if Lock is set.
	Dir string
	// Lock, if set, is the lock of the directory, which the caller releases after Close.
	// Without a lock only the engine keeps out a second process, and a file that is
	// removed while the store is open is not written again.
	Lock  *DirLock
	Suite Suite
	Root  []byte // 32 bytes; read during the call only, the caller wipes it
	// Roots are further roots that Open tries on the root files in the directory, because
	// the files may be sealed under different roots after an interrupted Rekey, or if an
	// older file was put back. Like Root they are read during the call only.
	Roots [][]byte
	// Admit, if set, is called by Open for each root file whose MAC holds, before the
	// engine is opened. secret derives the same values as Store.Secret. A file for which
	// Admit returns an error is not used; Open returns that error if no other file can be
	// used.
	Admit func(f *Root, secret func(label string, dst []byte)) error
	// Accept, if set, is called by Open with the root file in force, after the head and
	// the tip are checked and before Open changes a root file or commits. Open returns
	// its error.
	Accept func(inForce *Root) error
	// Healed, if set, is called by Open to record the root files that it is about to
	// replace or remove. The changes that it stages are durable before Open does so.
	Healed     func(*Tx, []RootFault)
	OpenEngine func(dir string) (Engine, error)
	// OpenKeyedEngine, if set, is called in place of OpenEngine. It opens an engine that
	// authenticates its own files.
	OpenKeyedEngine func(EngineConfig) (Engine, error)
	Log             Appender
	// Ready, if set, is called by Create when the store works but is not yet permanent.
	// It acquires further resources that the caller needs: if it fails, Create closes and
	// removes the store.
	Ready func(*Store) error
	// MinFree is the free disk space, in bytes, below which commits fail with ErrFull. 0
	// means 16 MiB: a segment of the redo log, a table, and as much again. A quarter of it,
	// at least 4 MiB, is the mark of CommitInReserve and ChangeEpoch.
	MinFree uint64

	step     func(name string) error // called before each step at which a crash may interrupt
	freeDisk func() (uint64, error)  // nil: the directory's
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	redacted
	cfg    Config
	dir    *directory
	inner  *directory // the engine's directory
	engine Engine
	arena  *lockedmem.Arena
	tip    *tip

	names       watched // the entries of dir
	engineNames watched // the entries of inner
	whole       bool    // the root files are in place

	engineKey *lockedmem.Buffer // nil if the engine has none

	mu       sync.RWMutex // guards what follows; only the committer writes it
	keys     *keyring
	rootKeys *rootKeys
	root     *Root
	unplaced bool // a replacement of the root file is certain, and not yet complete
	head     head
	unlocked []unlockedRoot // while Open runs, the newest first
	derived  []*rootKeys    // while Open runs, of each root given to it
	sealed   []byte         // the head's bytes in the engine
	census   *census
	pending  map[string]pendingEntry
	ended    bool // the engine is closed

	dirReleased bool // the directory handles opened by the store are closed

	epochs  chan struct{} // holds an element while an epoch changes
	queue   chan *job
	next    chan *job // a job that direct dequeued and did not commit
	quit    chan struct{}
	stopped chan struct{}
	closing sync.Mutex // one Close at a time
	closed  atomic.Bool
	failed  atomic.Pointer[error]

	lead     sync.Mutex // held while jobs are served; guards what follows
	gather   gather
	tipDue   bool // tipTimer runs
	tipTimer *time.Timer

	// Reused by each batch.
	sealer  sealer
	jobs    []*job
	puts    []Pair
	slab    []byte // sealed records
	segment []byte // leaves, before they are sealed
}

// newStore returns a store for which only the directory is open.
func newStore(cfg Config) (*Store, error) {
	if cfg.MinFree == 0 {
		cfg.MinFree = 16 << 20
	}
	cfg.Root, cfg.Roots = nil, nil
	dir := (*directory)(nil)
	if cfg.Lock != nil {
		dir = cfg.Lock.dir
	} else {
		var err error
		if dir, err = openDirectory(cfg.Dir); err != nil {
			return nil, err
		}
	}
	return &Store{
		cfg: cfg, dir: dir, names: watched{dir: dir.self}, arena: lockedmem.New(0), census: newCensus(),
		epochs: make(chan struct{}, 1),
		queue:  make(chan *job, 1024), next: make(chan *job, 1), quit: make(chan struct{}), stopped: make(chan struct{}),
	}, nil
}

func (s *Store) step(name string) error {
	if s.cfg.step == nil {
		return nil
	}
	return s.cfg.step(name)
}

// Secret fills dst with the secret derived for label, which stays the same for the life
// of the vault. The caller wipes it. After Close, dst is left unchanged.
func (s *Store) Secret(label string, dst []byte) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keys != nil {
		s.keys.suite.KDF(dst, s.keys.secret(), labelSecret, []byte(label))
	}
}

// Root returns the public part of the current root file.
func (s *Store) Root() Root {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.root.public()
}

// Version returns the durable version of path, 0 if it is absent.
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

// LogState returns the durable state of the audit log.
func (s *Store) LogState() LogState {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.head.log.clone()
}
