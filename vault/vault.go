// Package vault is the public interface of Strongroom, an embedded key vault.
//
// Create makes a vault in a directory, Open opens it, and Vault.As returns the Client
// through which one principal acts. The material of a CMK (customer master key) never
// leaves the vault in plaintext. A program encrypts small data with a CMK directly, and
// large data under data keys.
//
// An operation that takes a key takes the CMK's id or one of its aliases.
//
// The vault releases no result of an operation before its audit record is durable, and uses
// no stored byte before it is authenticated.
//
// # Core dumps
//
// A program that links this package writes no core dumps on Unix. The reason is memguard,
// which holds data keys at rest: it sets the soft and the hard RLIMIT_CORE to 0 before main
// runs, for the process and the processes that it starts. Only a process with
// CAP_SYS_RESOURCE can raise the limit again.
//
// # Errors
//
// Every error is an *Error that wraps one of the sentinels, or the error of a context.
// Compare with errors.Is.
//
// The comment of a method lists the errors that are specific to it. Every operation of a
// Client can also return:
//
//   - ErrDenied: the principal may not do this. A denied principal gets this error for a
//     key that does not exist, too.
//   - ErrNotFound: the key does not exist, and the principal is allowed the operation.
//   - ErrKeyState, ErrUsage: the key's state or usage does not allow the operation.
//   - ErrThrottled, ErrUnavailable: the device cannot do the operation now.
//   - ErrAuditUnavailable, ErrStorageFull: the disk cannot take the audit record or the
//     change.
//   - ErrLockedMemory: no more memory can be locked.
//   - ErrCorrupt: stored data is damaged.
//   - ErrClosed: the vault is closed, or Close has begun.
//
// Create and Open first test the cryptography of the edition against known answers, and
// fail with ErrSelfTest if this build computes wrong results.
//
// After an error the result is not valid, and the key is unchanged unless the comment of
// the method says otherwise.
package vault

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/gate"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
	"strongroom.example/keystore"
	"strongroom.example/keystore/badger"
	"strongroom.example/vault/internal/auditlog"
	"strongroom.example/vault/internal/editionrules"
	"strongroom.example/vault/internal/entropy"
	"strongroom.example/vault/internal/epochbatch"
	"strongroom.example/vault/internal/failures"
	"strongroom.example/vault/internal/inputcopy"
	"strongroom.example/vault/internal/keyhandles"
	"strongroom.example/vault/internal/memorykey"
	"strongroom.example/vault/internal/rootunlock"
	"strongroom.example/vault/internal/tasks"
	"strongroom.example/vault/internal/usestore"
	"strongroom.example/vault/internal/vaultsecrets"
)

// A Vault is an open vault. Its methods are safe for concurrent use.
type Vault struct {
	cfg      Config
	id       [16]byte
	suite    suite.ID
	lock     *keystore.DirLock
	store    *keystore.Store
	log      *auditlog.Log
	arena    *lockedmem.Arena
	secrets  *vaultsecrets.Keys
	drivers  map[string]driver.Driver
	inputs   inputcopy.Pool
	handles  *keyhandles.Pool
	epochs   *epochbatch.Batcher
	records  *keyCache
	policies policyCache
	grants   cache[Grant] // a grant never changes, and no id is used again
	// restoring: the vault was restored and waits for approvals.
	restoring atomic.Bool
	entropy   *entropy.Source
	failures  *failures.Counter
	dataKeys  *memorykey.Pool
	clock     clock.Clock
	deadline  *clock.HighWater // the clock by which expired material is refused; see confirmedNow
	tasks     *tasks.Queue
	waiting   sync.Map // see recordOtherDevice
	uses      *usestore.Counts
	usedUpAt  sync.Map // ids of CMKs to the version that reached Rotation.Uses
	// trimDue: the space of removed audit records could not be released. The background
	// goroutine tries it again after trimAfter, which only it uses.
	trimDue   atomic.Bool
	trimAfter time.Time
	// keptTime is the time that keepTime stored last. Only the background goroutine uses it.
	keptTime clock.Mark
	// settingTime is held by SetTimeBack, and shared by approvals while they are given.
	settingTime sync.RWMutex

	healthMu sync.Mutex
	health   Health

	repaired *keystore.RepairReport // set while Repair opens the store

	gate    gate.Gate // every operation enters it
	closing sync.Mutex
	stop    context.CancelFunc // stops the background goroutine; nil if it was not started
	done    chan struct{}      // closed when the background goroutine has ended
	moved   chan chan struct{} // see clockMoved
}

// newVault returns a vault whose directory and store are not open yet.
func newVault(cfg Config) *Vault {
	return &Vault{
		cfg: cfg, suite: editionrules.SuiteOf(cfg.Edition), clock: clock.Bounded(cfg.Clock),
		arena: lockedmem.New(0), done: make(chan struct{}), moved: make(chan chan struct{}),
	}
}

// binding returns the vault id and edition to which the protectors' blobs are bound.
func (v *Vault) binding() driver.Binding {
	return driver.Binding{VaultID: v.id, Edition: v.cfg.Edition}
}

// ID returns the vault's id, 32 hexadecimal digits. Keep it outside the vault's directory,
// together with LogKey, for Config.VaultID.
func (v *Vault) ID() string { return rootunlock.IDText(v.id) }

// Edition returns the vault's edition.
func (v *Vault) Edition() Edition { return v.cfg.Edition }

// LogKey returns the public key of the audit log as a note verifier key
// (golang.org/x/mod/sumdb/note). It never changes. Keep it outside the vault's directory,
// for Config.LogKey and for verifying exports.
func (v *Vault) LogKey() string { return v.log.Key.Load().Verifier() }

// setOrigin creates the appender of the log, with the origin line that names this vault.
func (v *Vault) setOrigin() {
	v.log = &auditlog.Log{Tree: audit.Tree{Suite: audit.Suite(v.suite)}, Origin: audit.Origin(v.ID())}
}

func (v *Vault) storeConfig(root []byte) keystore.Config {
	cfg := keystore.Config{Lock: v.lock, Suite: keystore.Suite(v.suite), Root: root, OpenEngine: v.cfg.openEngine, Log: v.log, MinFree: v.cfg.MinFree}
	if cfg.OpenEngine == nil {
		cfg.OpenKeyedEngine, cfg.Salvage = badger.OpenEngine, badger.Salvage
	}
	return cfg
}

// A Client gives one principal access to a vault; every operation is a method of Client. It
// is a small value and can be copied. Every operation of the zero Client fails with
// ErrDenied.
type Client struct {
	vault     *Vault
	principal Principal
	grant     string // the id of the grant that limits it; see Narrow
}

// As returns the client through which p acts. If p is not a valid Principal, every
// operation of the client fails with ErrDenied.
func (v *Vault) As(p Principal) Client { return Client{vault: v, principal: p} }

// Close waits for running operations, closes the log and the store, and wipes every key.
// Operations that begin after Close was called fail with ErrClosed at once. Close destroys
// data keys that are still open. It does not close the drivers of Config.
//
// Closing twice is not an error; the later call waits for the first. After ErrStorageFull
// the directory may remain locked, with the data that does not fit on the disk kept in
// memory: free some space and call Close again.
//
// An operation must not call Close, and so an Authorizer, a protector, and a function that
// DataKey.Use runs must not call it.
func (v *Vault) Close() error {
	v.closing.Lock()
	defer v.closing.Unlock()
	var err error
	if v.gate.Shut() {
		err = v.recordClose()
	}
	return wrap(OpCloseVault, "", errors.Join(err, v.closeStore((*keystore.DirLock).Unlock)))
}

// recordClose stops the background work, records the closing of the vault and wipes its keys.
func (v *Vault) recordClose() error {
	v.stop()
	<-v.done
	v.writeCounts(v.failures.All())
	_ = v.uses.SaveAtClose(context.Background())
	err := v.store.CommitInReserve(context.Background(), func(tx *keystore.Tx) error {
		v.recordClock(tx)
		v.appendAudit(tx, v.record(OpCloseVault, v.cfg.Owner))
		return nil
	})
	return errors.Join(err, v.wipe())
}

// cleanUp releases everything that a failed Create or Open had acquired, and the directory
// by calling release. It does nothing if err is nil.
func (v *Vault) cleanUp(err error, release func(*keystore.DirLock) error) {
	if err == nil {
		return
	}
	if v.stop != nil {
		v.stop()
		<-v.done
	}
	v.wipe()
	v.closeStore(release)
}

// wipe wipes every key, in the reverse order of acquisition.
func (v *Vault) wipe() error {
	var errs []error
	if v.dataKeys != nil {
		errs = append(errs, v.dataKeys.Close())
	}
	if v.handles != nil {
		v.handles.Close()
	}
	if d := v.drivers[softDriver]; d != nil {
		errs = append(errs, d.Close())
	}
	if v.log != nil {
		if key := v.log.Key.Load(); key != nil {
			key.Wipe()
		}
	}
	if v.secrets != nil {
		v.secrets.Free()
	}
	return errors.Join(append(errs, v.arena.Close())...)
}

// closeStore closes the store, and then releases the directory. If the disk is full, the
// store remains open and the directory locked.
func (v *Vault) closeStore(release func(*keystore.DirLock) error) error {
	var errs []error
	if v.store != nil {
		err := v.store.Close()
		if errors.Is(err, keystore.ErrFull) {
			return err
		}
		errs = append(errs, err)
	}
	if v.lock != nil {
		errs = append(errs, release(v.lock))
		v.lock = nil
	}
	return errors.Join(errs...)
}
