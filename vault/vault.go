package vault

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
	"strongroom.example/keystore"
)

// A Vault is an open vault. Its methods are safe for concurrent use.
type Vault struct {
	cfg      Config
	id       [16]byte
	suite    suite.ID
	lock     *keystore.DirLock
	store    *keystore.Store
	log      *appender
	arena    *lockedmem.Arena
	secrets  *secrets
	drivers  map[string]driver.Driver
	handles  *handles
	burials  *burials
	keys     *keyCache
	hedge    *hedge
	refusals *refusals
	rest     *restroom
	clock    clock.Clock
	deadline *clock.HighWater // by which things expire
	agenda   *agenda

	gate    sync.RWMutex // held for reading by each operation
	closed  bool
	closing sync.Once
	awake   bool // background was started
	stopped chan struct{}
	done    chan struct{}
}

// rootSize is the length of a vault's root.
const rootSize = 32

// Create makes a vault in dir, which must be empty or absent, and opens it. Any
// one of the protectors will open it again. Errors: ErrExists, ErrInUse, ErrInvalid,
// ErrLockedMemory, ErrStorageFull, ErrUnavailable for a protector's device, ErrUnsupported for an edition that this process
// cannot have.
func Create(ctx context.Context, dir string, cfg Config, protectors ...driver.Protector) (*Vault, error) {
	if ctx == nil {
		return nil, wrap(OpCreateVault, "", errNoContext)
	}
	v, err := create(ctx, dir, cfg, protectors)
	return v, wrap(OpCreateVault, "", err)
}

func create(ctx context.Context, dir string, cfg Config, protectors []driver.Protector) (*Vault, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := checkProtectors(cfg, protectors); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, invalid("the vault's directory cannot be made; choose one that may be written: %v", err)
	}
	if _, err := keystore.ReadRoot(dir); err == nil {
		return nil, fmt.Errorf("%w: %s holds a vault; open it, or choose another directory", ErrExists, dir)
	}
	v := newVault(cfg)
	defer func() { v.abandon(err) }()
	if v.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	root, err := v.arena.Alloc(rootSize)
	if err != nil {
		return nil, err
	}
	defer root.Free()
	rand.Read(root.Bytes())
	rand.Read(v.id[:])
	entries, err := protectAll(ctx, v.binding(), root.Bytes(), protectors)
	if err != nil {
		return nil, err
	}
	description := keystore.Root{VaultID: v.id, Edition: uint8(cfg.Edition), Created: v.clock.Now(), Protectors: entries}
	v.setOrigin()
	v.store, err = keystore.Create(ctx, v.storeConfig(dir, root.Bytes()), description, func(tx *keystore.Tx) error {
		made := v.record(OpCreateVault, cfg.Owner)
		made.Detail = editionDetail(cfg.Edition)
		v.note(tx, made)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err = v.start(ctx); err != nil {
		return nil, err
	}
	return v, nil
}

// Open opens the vault in dir by the first of the protectors that fits. Give those of
// devices first: one whose device was cleared or replaced is made whole when a later
// protector opens the vault, and that is recorded. Errors: ErrWrongDevice,
// ErrNoVault, ErrUnlock, ErrInUse, ErrCorrupt, ErrRolledBack, ErrStorageFull,
// ErrLockedMemory, ErrAuditUnavailable,
// ErrInvalid where cfg names another edition than the vault's, ErrUnsupported where
// this process cannot have it.
func Open(ctx context.Context, dir string, cfg Config, protectors ...driver.Protector) (*Vault, error) {
	if ctx == nil {
		return nil, wrap(OpOpenVault, "", errNoContext)
	}
	v, err := open(ctx, dir, cfg, protectors)
	return v, wrap(OpOpenVault, "", err)
}

func open(ctx context.Context, dir string, cfg Config, protectors []driver.Protector) (_ *Vault, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	if err = noneNil(protectors); err != nil {
		return nil, err
	}
	if _, err := keystore.ReadRoot(dir); err != nil {
		return nil, err
	}
	v := newVault(cfg)
	defer func() { v.abandon(err) }()
	if v.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	description, err := keystore.ReadRoot(dir)
	if err != nil {
		return nil, err
	}
	if driver.Edition(description.Edition) != cfg.Edition {
		return nil, invalid("the vault's edition is %v; Config.Edition says %v", driver.Edition(description.Edition), cfg.Edition)
	}
	v.id = description.VaultID
	root, err := v.arena.Alloc(rootSize)
	if err != nil {
		return nil, err
	}
	defer root.Free()
	unlocked, err := recoverRoot(ctx, root, v.binding(), description.Protectors, protectors)
	if err != nil {
		return nil, err
	}
	v.setOrigin()
	if v.store, err = keystore.Open(ctx, v.storeConfig(dir, root.Bytes()), description); err != nil {
		return nil, err
	}
	if err = v.start(ctx); err != nil {
		return nil, err
	}
	opened := v.record(OpOpenVault, cfg.Owner)
	opened.Detail = editionDetail(cfg.Edition)
	opened.Detail["protector"] = unlocked.by
	err = v.store.Commit(ctx, func(tx *keystore.Tx) error {
		v.markClock(tx)
		v.note(tx, opened)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, p := range unlocked.strangers {
		if err = v.heal(ctx, p, root.Bytes()); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// lockDir takes the lock of a vault's directory. One that cannot be written is ErrInvalid.
func lockDir(dir string) (*keystore.DirLock, error) {
	lock, err := keystore.Lock(dir)
	if err != nil && !errors.Is(err, keystore.ErrInUse) && !errors.Is(err, keystore.ErrNoStore) {
		err = fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return lock, err
}

// newVault returns a vault that has nothing open yet.
func newVault(cfg Config) *Vault {
	return &Vault{
		cfg: cfg, suite: suiteOf(cfg.Edition), clock: cfg.clock,
		arena: lockedmem.New(0), stopped: make(chan struct{}), done: make(chan struct{}),
	}
}

// binding ties protectors' blobs to this vault.
func (v *Vault) binding() driver.Binding {
	return driver.Binding{VaultID: v.id, Edition: v.cfg.Edition}
}

// ID returns the vault's id, 32 hexadecimal digits.
func (v *Vault) ID() string { return hex.EncodeToString(v.id[:]) }

// Edition returns the vault's edition.
func (v *Vault) Edition() Edition { return v.cfg.Edition }

// LogKey returns the public key of the audit log, as a note verifier key
// (golang.org/x/mod/sumdb/note). Pin it outside the vault.
func (v *Vault) LogKey() string { return v.log.key.Load().Verifier() }

// setOrigin names the log after the vault.
func (v *Vault) setOrigin() {
	v.log = &appender{tree: audit.Tree{Suite: v.suite}, origin: audit.Origin(v.ID())}
}

func (v *Vault) storeConfig(dir string, root []byte) keystore.Config {
	return keystore.Config{Dir: dir, Suite: v.suite, Root: root, OpenEngine: v.cfg.openEngine, Log: v.log, MinFree: v.cfg.MinFree}
}

// start readies everything that hangs on the open store, and settles what a crash
// left unfinished.
func (v *Vault) start(ctx context.Context) error {
	if err := v.openSecrets(); err != nil {
		return err
	}
	v.handles = newHandles()
	v.burials = newBurials(v.store)
	v.keys = newKeyCache(v.store)
	v.refusals = newRefusals()
	v.rest = newRestroom(v.arena)
	v.agenda = newAgenda()
	if err := v.openClock(ctx); err != nil {
		return err
	}
	if err := v.settle(ctx); err != nil {
		return err
	}
	v.openAgenda(ctx)
	v.awake = true
	go v.background()
	return nil
}

// openSecrets derives the vault's own keys and opens the software engine.
func (v *Vault) openSecrets() (err error) {
	if v.secrets, err = newSecrets(v.arena, v.store); err != nil {
		return err
	}
	key, err := audit.NewLogKey(v.suite, v.log.origin, v.secrets.log())
	if err != nil {
		return err
	}
	v.log.key.Store(key)
	v.hedge = &hedge{suite: v.suite, key: v.secrets.hedge(), clock: v.clock}
	engine, err := soft.New(soft.Config{Key: v.secrets.soft(), Edition: v.cfg.Edition})
	if err != nil {
		return err
	}
	v.drivers = map[string]driver.Driver{softDriver: engine}
	for name, d := range v.cfg.Drivers {
		v.drivers[name] = d
	}
	return nil
}

// background flushes counted refusals, lays idle data keys to rest and ends what has
// expired, until Close.
func (v *Vault) background() {
	defer close(v.done)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-v.stopped; cancel() }()
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			v.flushRefusals(v.refusals.due(v.deadline.Now()))
			v.rest.sweep()
			v.keepAgenda(ctx)
		case <-v.stopped:
			v.agenda.work.Wait()
			return
		}
	}
}

// enter lets an operation in until leave; ErrClosed after Close.
func (v *Vault) enter() error {
	v.gate.RLock()
	if v.closed {
		v.gate.RUnlock()
		return ErrClosed
	}
	return nil
}

func (v *Vault) leave() { v.gate.RUnlock() }

// Close waits for running operations, closes the log and the store and wipes every
// key. Data keys that are still open are destroyed; the drivers of Config are not
// closed. Closing twice is no error; the later call waits for the first. An operation must not call it: not an Authorizer,
// a protector, or a function that DataKey.Use runs.
func (v *Vault) Close() (err error) {
	v.closing.Do(func() { err = v.close() })
	return err
}

func (v *Vault) close() error {
	v.gate.Lock()
	v.closed = true
	v.gate.Unlock()
	close(v.stopped)
	<-v.done
	v.flushRefusals(v.refusals.all())
	ctx := context.Background()
	err := v.store.Commit(ctx, func(tx *keystore.Tx) error {
		v.markClock(tx)
		v.note(tx, v.record(OpCloseVault, v.cfg.Owner))
		return nil
	})
	return wrap(OpCloseVault, "", errors.Join(err, v.release()))
}

// abandon releases what a failed Create or Open had taken.
func (v *Vault) abandon(err error) {
	if err == nil {
		return
	}
	if v.awake {
		close(v.stopped)
		<-v.done
	}
	v.release()
}

// release gives back everything, in the reverse order of taking.
func (v *Vault) release() error {
	var errs []error
	if v.rest != nil {
		v.rest.destroyAll()
	}
	if v.handles != nil {
		v.handles.closeAll()
	}
	if d := v.drivers[softDriver]; d != nil {
		errs = append(errs, d.Close())
	}
	if v.log != nil {
		if key := v.log.key.Load(); key != nil {
			key.Wipe()
		}
	}
	if v.store != nil {
		errs = append(errs, v.store.Close())
	}
	if v.lock != nil {
		errs = append(errs, v.lock.Unlock())
	}
	if v.secrets != nil {
		v.secrets.free()
	}
	return errors.Join(append(errs, v.arena.Close())...)
}
