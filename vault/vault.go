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
	inputs   sync.Pool // of *[inputSize]byte, wiped before they are returned
	handles  *handles
	burials  *burials
	keys     *keyCache
	hedge    *hedge
	failures *failureCounts
	rest     *restroom
	clock    clock.Clock
	deadline *clock.HighWater // the clock by which expiry is decided
	agenda   *agenda

	gate    gate.Gate // every operation enters it
	closing sync.Mutex
	awake   bool // the background goroutine was started
	stopped chan struct{}
	done    chan struct{}
}

// newVault returns a vault whose directory and store are not open yet.
func newVault(cfg Config) *Vault {
	return &Vault{
		cfg: cfg, suite: suiteOf(cfg.Edition), clock: clock.Bounded(cfg.clock),
		arena: lockedmem.New(0), stopped: make(chan struct{}), done: make(chan struct{}),
	}
}

// binding returns the vault id and edition to which the protectors' blobs are bound.
func (v *Vault) binding() driver.Binding {
	return driver.Binding{VaultID: v.id, Edition: v.cfg.Edition}
}

// ID returns the vault's id, 32 hexadecimal digits. Keep it outside the vault's directory,
// together with LogKey, for Config.VaultID.
func (v *Vault) ID() string { return idText(v.id) }

func idText(id [16]byte) string { return hex.EncodeToString(id[:]) }

// Edition returns the vault's edition.
func (v *Vault) Edition() Edition { return v.cfg.Edition }

// LogKey returns the public key of the audit log as a note verifier key
// (golang.org/x/mod/sumdb/note). It never changes. Keep it outside the vault's directory,
// for Config.LogKey and for verifying exports.
func (v *Vault) LogKey() string { return v.log.key.Load().Verifier() }

// setOrigin creates the appender of the log, with the origin line that names this vault.
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

// enter admits an operation, which calls leave when it ends. It fails with ErrClosed once
// Close has begun.
func (v *Vault) enter() error {
	if !v.gate.Enter() {
		return ErrClosed
	}
	return nil
}

func (v *Vault) leave() { v.gate.Leave() }
