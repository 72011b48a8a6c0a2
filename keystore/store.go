package keystore

import (
	"sync"
	"sync/atomic"
	"time"

	"strongroom.example/internal/lockedmem"
)

// Config is what Create and Open need. It prints redacted, since it holds the root.
type Config struct {
	redacted
	// Dir is the store's directory. A relative path is resolved when Create or Open is
	// called. It is not read if Lock is set.
	Dir string
	// Lock, if set, is the lock of the directory, which the caller releases after Close.
	// Without one a second process is kept out by the engine alone, and a file that
	// was removed under the store is not written again.
	Lock  *DirLock
	Suite Suite
	Root  []byte // 32 bytes; read during the call only, the caller wipes it
	// Roots are further roots that Open tries on the root files in the directory: they
	// need not all be of one root after a Rekey that was cut short, or where somebody put
	// a file of another time back. As Root they are read during the call only.
	Roots [][]byte
	// Admit, if it is set, is called by Open for each root file whose MAC holds, before
	// the engine is opened. secret derives what Store.Secret will. A file for which Admit
	// returns an error is not used; Open returns that error if it has no other file.
	Admit func(f *Root, secret func(label string, dst []byte)) error
	// Accept, if it is set, is called by Open with the root file in force, once head and
	// tip are checked and before Open changes a root file or commits. Open returns its
	// error.
	Accept func(inForce *Root) error
	// Healed, if it is set, is called by Open to record root files that it is about to
	// replace or remove. What it stages is durable before Open does that.
	Healed     func(*Tx, []RootFault)
	OpenEngine func(dir string) (Engine, error)
	// OpenKeyedEngine, if set, is called in place of OpenEngine. It opens an engine that
	// authenticates its own files.
	OpenKeyedEngine func(EngineConfig) (Engine, error)
	Log             Appender
	// Ready, if set, is called by Create when the store works and nothing of it is
	// certain yet. It acquires what the caller needs beside the store: if it fails,
	// Create closes the store and removes it.
	Ready func(*Store) error
	// MinFree is the free disk, in bytes, below which commits answer ErrFull.
	// 0 means 16 MiB: a segment of the redo log, a table, and as much again.
	MinFree uint64

	step func(name string) error // asked before each step that a crash may cut
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	redacted
	cfg    Config
	dir    *directory
	inner  *directory // the engine's
	engine Engine
	arena  *lockedmem.Arena
	tip    *tip

	names       watched // the directory's names
	engineNames watched // those of the engine's directory
	whole       bool    // the root files are in place

	engineKey *lockedmem.Buffer // nil if the engine has none

	mu       sync.RWMutex // guards what follows; only the committer writes it
	keys     *keyring
	rootKeys *rootKeys
	root     *Root
	head     head
	unlocked []unlockedRoot // while Open runs, the newest first
	derived  []*rootKeys    // while Open runs, of each root given to it
	sealed   []byte         // the head's bytes in the engine
	census   *census
	pending  map[string]pendingEntry
	ended    bool // the engine is closed

	dirReleased bool // what the store itself had open of its directory is closed

	epochs  chan struct{} // full while an epoch changes
	queue   chan *job
	next    chan *job // holds whom a caller who served himself hands to the committer
	quit    chan struct{}
	stopped chan struct{}
	closing sync.Mutex // one Close at a time
	closed  atomic.Bool
	failed  atomic.Pointer[error]

	lead     sync.Mutex // held by whoever serves jobs; guards what follows
	gather   gather
	tipDue   bool // tipTimer runs
	tipTimer *time.Timer

	// Used again by each batch.
	sealer  sealer
	jobs    []*job
	puts    []Pair
	slab    []byte // sealed records
	segment []byte // leaves, before they are sealed
}

// newStore returns a store that has nothing open but its directory.
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

// Secret fills dst with a secret that lasts as long as the vault, one for each
// label. The caller wipes it. After Close dst is left as it is.
func (s *Store) Secret(label string, dst []byte) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.keys != nil {
		s.keys.suite.KDF(dst, s.keys.secret(), labelSecret, []byte(label))
	}
}

// Root is the public part of the current root file.
func (s *Store) Root() Root {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.root.public()
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
