package vault

import (
	"encoding/hex"
	"sync"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/gate"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
	"strongroom.example/keystore"
	"strongroom.example/keystore/badger"
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
	inputs   sync.Pool // of *[inputSize]byte, wiped
	handles  *handles
	burials  *burials
	keys     *keyCache
	hedge    *hedge
	failures *failureCounts
	rest     *restroom
	clock    clock.Clock
	deadline *clock.HighWater // by which things expire
	agenda   *agenda

	gate    gate.Gate // each operation enters
	closing sync.Mutex
	awake   bool // background was started
	stopped chan struct{}
	done    chan struct{}
}

// newVault returns a vault that has nothing open yet.
func newVault(cfg Config) *Vault {
	return &Vault{
		cfg: cfg, suite: suiteOf(cfg.Edition), clock: clock.Bounded(cfg.clock),
		arena: lockedmem.New(0), stopped: make(chan struct{}), done: make(chan struct{}),
	}
}

// binding ties protectors' blobs to this vault.
func (v *Vault) binding() driver.Binding {
	return driver.Binding{VaultID: v.id, Edition: v.cfg.Edition}
}

// ID returns the vault's id, 32 hexadecimal digits. Keep it outside the directory, with
// LogKey, for Config.VaultID.
func (v *Vault) ID() string { return idText(v.id) }

func idText(id [16]byte) string { return hex.EncodeToString(id[:]) }

// Edition returns the vault's edition.
func (v *Vault) Edition() Edition { return v.cfg.Edition }

// LogKey returns the public key of the audit log, as a note verifier key
// (golang.org/x/mod/sumdb/note). It never changes. Keep it outside the directory, for
// Config.LogKey and for verifying exports.
func (v *Vault) LogKey() string { return v.log.key.Load().Verifier() }

// setOrigin names the log after the vault.
func (v *Vault) setOrigin() {
	v.log = &appender{tree: audit.Tree{Suite: v.suite}, origin: audit.Origin(v.ID())}
}

func (v *Vault) storeConfig(root []byte) keystore.Config {
	cfg := keystore.Config{Lock: v.lock, Suite: v.suite, Root: root, OpenEngine: v.cfg.openEngine, Log: v.log, MinFree: v.cfg.MinFree}
	if cfg.OpenEngine == nil {
		cfg.OpenKeyedEngine = badger.OpenEngine
	}
	return cfg
}

// enter lets an operation in until leave; ErrClosed from the moment on at which Close began.
func (v *Vault) enter() error {
	if !v.gate.Enter() {
		return ErrClosed
	}
	return nil
}

func (v *Vault) leave() { v.gate.Leave() }
