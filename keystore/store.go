package keystore

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
	"strongroom.example/keystore/internal/census"
	"strongroom.example/keystore/internal/directory"
	"strongroom.example/keystore/internal/groupwait"
	"strongroom.example/keystore/internal/head"
	"strongroom.example/keystore/internal/journal"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/pathindex"
	"strongroom.example/keystore/internal/rootfile"
	"strongroom.example/keystore/internal/tip"
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
	// Healed, if set, is called by Open to record the files that it is about to replace or
	// remove. The changes that it stages are durable before Open does so.
	Healed     func(*Tx, []FileFault)
	OpenEngine func(dir string) (Engine, error)
	// OpenKeyedEngine, if set, is called in place of OpenEngine. It opens an engine that
	// authenticates its own files.
	OpenKeyedEngine func(EngineConfig) (Engine, error)
	// Salvage, if set, reads the files of a closed engine in place of opening it, from the
	// key from on. Repair calls it. Without it, Repair opens the engine and scans it.
	Salvage func(cfg EngineConfig, from []byte, each func(Salvaged) error) error
	Log     Appender
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

// A Suite is the set of algorithms that seals a store, and to which its records and root
// file are bound.
type Suite uint8

// The suites.
const (
	// SuiteAES is AES-256-GCM and HMAC-SHA-256, of the Standard and FIPS editions.
	SuiteAES = Suite(suite.AES)
	// SuiteSM is SM4-GCM and HMAC-SM3, of the SM edition.
	SuiteSM = Suite(suite.SM)
)

// String returns the name of the suite: "AES_256_GCM_SHA_256" or "SM4_GCM_SM3".
func (s Suite) String() string { return s.id().String() }

func (s Suite) id() suite.ID { return suite.ID(s) }

// Store is an open store. It is safe for concurrent use.
type Store struct {
	redacted
	cfg            Config
	dir            *directory.Dir
	inner          *directory.Dir // the engine's directory
	engine         Engine
	enginePath     string       // through which the engine was opened; see openEngine
	freeEnginePath func() error // releases the handle that enginePath goes through
	arena          *lockedmem.Arena
	tip            *tip.File
	journal        *journal.File // of the mutable records, for Repair; nil until it is made or opened
	journalFault   string        // while Open runs: what is wrong with the journal that it found
	suffix         string        // of the names of engine, tip and journal, while Repair builds them

	names       directory.Watch // the entries of dir
	engineNames directory.Watch // the entries of inner
	whole       bool            // the root files are in place

	engineKey *lockedmem.Buffer // nil if the engine has none

	mu         sync.RWMutex // guards what follows; only the goroutine that commits writes it
	keys       *keyring.Keyring
	rootKeys   *rootfile.Keys
	root       *Root
	unplaced   bool // a replacement of the root file is certain, and not yet complete
	head       head.Head
	first      LogState         // at the first audit record that is kept
	lost       []LogGap         // of audit records, ascending
	unlocked   []unlockedRoot   // while Open runs, the newest first
	derived    []*rootfile.Keys // while Open runs, of each root given to it
	sealedHead []byte           // the head as a sealed record, as the engine has it
	census     *census.Census
	listed     pathindex.Index // indexFolder writes it too
	pending    map[string]census.Change
	ended      bool // the engine is closed

	dirReleased bool // the directory handles opened by the store are closed

	epochs  chan struct{} // holds an element while an epoch changes
	queue   chan *job
	next    chan *job // a job that serveHere dequeued and did not commit
	quit    chan struct{}
	stopped chan struct{}
	closing sync.Mutex // one Close at a time
	closed  atomic.Bool
	failed  atomic.Pointer[error]

	lead     sync.Mutex // held while jobs are served; guards what follows
	callers  groupwait.Callers
	tipDue   bool // tipTimer runs
	tipTimer *time.Timer

	// Reused by each batch.
	jobs         []*job
	puts         []Pair
	slab         []byte        // sealed records
	segment      []byte        // an audit segment, before it is sealed
	journalEntry journal.Entry // the changes that belong in the journal
}

// newStore returns a store for which only the directory is open.
func newStore(cfg Config) (*Store, error) {
	if cfg.MinFree == 0 {
		cfg.MinFree = 16 << 20
	}
	cfg.Root, cfg.Roots = nil, nil
	dir := (*directory.Dir)(nil)
	if cfg.Lock != nil {
		dir = cfg.Lock.dir
	} else {
		var err error
		if dir, err = directory.Open(cfg.Dir); err != nil {
			return nil, err
		}
	}
	return &Store{
		cfg: cfg, dir: dir, names: dir.Watch(), arena: lockedmem.New(0), census: census.New(0), listed: pathindex.Index{},
		epochs: make(chan struct{}, 1),
		queue:  make(chan *job, 1024), next: make(chan *job, 1), quit: make(chan struct{}), stopped: make(chan struct{}),
	}, nil
}

// named returns the name of one of the store's files, which is another one while Repair
// builds the file.
func (s *Store) named(name string) string { return name + s.suffix }

// step calls the hook of a test, which may fail at a step of a commit. Other stores have none.
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
		s.keys.Derive(dst, labelSecret, []byte(label))
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
	return s.census.Entries[path].Version
}

// Paths lists the paths that start with prefix, sorted.
func (s *Store) Paths(prefix string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.census.Paths(prefix)
}

// PathsAfter returns the paths that start with prefix and sort behind after, sorted, at most
// limit of them. prefix has a slash. The first call for a folder indexes it, which takes
// time in proportion to the number of records; later calls do not.
func (s *Store) PathsAfter(prefix, after string, limit int) []string {
	folder := pathindex.Folder(prefix)
	s.mu.RLock()
	indexed := s.listed.Has(folder)
	s.mu.RUnlock()
	if !indexed {
		s.indexFolder(folder)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.listed.After(prefix, after, limit)
}

// indexFolder indexes a folder, unless another caller has.
func (s *Store) indexFolder(folder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.listed.Has(folder) {
		s.listed.AddFolder(folder, s.census.Paths(folder))
	}
}

// LogState returns the durable state of the audit log.
func (s *Store) LogState() LogState {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return LogState(s.head.Log).clone()
}

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
		errs = append(errs, s.flushTip(), s.tip.Close())
	}
	errs = append(errs, s.journal.Close())
	if s.engine != nil && !s.ended {
		err := s.closeEngine()
		s.ended = !errors.Is(err, ErrFull)
		if s.ended {
			err = errors.Join(err, s.inner.RestrictAll())
		}
		errs = append(errs, err)
	}
	s.engineKey.Free()
	if s.keys != nil {
		s.keys.Free()
	}
	if s.rootKeys != nil {
		s.rootKeys.Free()
	}
	s.tip, s.journal, s.keys, s.rootKeys = nil, nil, nil, nil
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
		errs = append(errs, s.inner.Close())
	}
	if s.cfg.Lock == nil {
		errs = append(errs, s.dir.Close())
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
			for errors.Is(s.closeEngine(), ErrFull) {
				time.Sleep(roomEvery)
			}
		}()
	}
	return err
}

// roomEvery is the interval between attempts to close an engine that had no disk space.
const roomEvery = time.Second
