package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"syscall"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/clock"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/editionrules"
	"strongroom.example/vault/internal/entropy"
	"strongroom.example/vault/internal/epochbatch"
	"strongroom.example/vault/internal/failures"
	"strongroom.example/vault/internal/keyhandles"
	"strongroom.example/vault/internal/memorykey"
	"strongroom.example/vault/internal/refusedopens"
	"strongroom.example/vault/internal/rootunlock"
	"strongroom.example/vault/internal/tasks"
	"strongroom.example/vault/internal/usestore"
	"strongroom.example/vault/internal/vaultsecrets"
)

// Create makes a vault in dir and opens it. Any one of the protectors can open it later.
// Create makes dir if it does not exist; an existing dir must not hold a vault. A relative
// dir is resolved once, against the working directory at the time of the call. The
// directory must be used for the vault only: Create sets its mode to 0700, and rejects a
// directory that belongs to another user or to which others may write. A failed Create
// leaves nothing behind and can be repeated.
//
// Errors:
//
//   - ErrExists, ErrInUse: the directory holds a vault, or is in use.
//   - ErrInvalid: an argument is wrong.
//   - ErrLockedMemory, ErrStorageFull: a resource is missing.
//   - ErrUnavailable: a protector's device or the directory cannot be used.
//   - ErrUnsupported: this process cannot use the edition.
//   - ErrSelfTest: this process's cryptography computes wrong results.
func Create(ctx context.Context, dir string, cfg Config, protectors ...driver.Protector) (*Vault, error) {
	if ctx == nil {
		return nil, wrap(OpCreateVault, "", errNoContext)
	}
	v, err := create(ctx, dir, cfg, slices.Clone(protectors))
	return v, wrap(OpCreateVault, "", err)
}

func create(ctx context.Context, dir string, cfg Config, protectors []driver.Protector) (_ *Vault, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	if cfg.VaultID != "" || cfg.LogKey != "" {
		return nil, invalid("Config.VaultID and Config.LogKey pin an existing vault; Create makes a new one")
	}
	if err := rootunlock.Check(protectors, cfg.AcceptLossWithMachine); err != nil {
		return nil, err
	}
	if dir, err = absolute(dir); err != nil {
		return nil, err
	}
	v := newVault(cfg)
	defer func() { v.cleanUp(err, (*keystore.DirLock).Discard) }()
	rand.Read(v.id[:])
	err = v.makeStore(ctx, dir, protectors, func(c keystore.Config, root keystore.Root) (*keystore.Store, error) {
		return keystore.Create(ctx, c, root, func(tx *keystore.Tx) error {
			made := v.record(OpCreateVault, cfg.Owner)
			made.Detail = editionrules.Detail(cfg.Edition)
			made.Detail["protectors"] = rootunlock.Describe(root.Protectors)
			v.appendAudit(tx, made)
			// Otherwise the last record of a vault that is killed would give its time.
			putClock(tx, clock.Mark{Time: v.clock.Now(), Boot: clock.BootOf(v.clock)})
			usestore.Begin(tx)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// makeStore makes the vault's store in dir by calling construct, under a new root that the
// protectors wrap, and starts the vault.
func (v *Vault) makeStore(ctx context.Context, dir string, protectors []driver.Protector, construct func(keystore.Config, keystore.Root) (*keystore.Store, error)) (err error) {
	if _, err := keystore.ReadRoot(dir); err == nil {
		return fmt.Errorf("%w: %s holds a vault; open it, or choose another directory", ErrExists, dir)
	}
	if v.lock, err = keystore.MakeAndLock(dir); err != nil {
		return openError(dir, err)
	}
	root, err := v.arena.Alloc(rootunlock.RootSize)
	if err != nil {
		return err
	}
	defer root.Free()
	rand.Read(root.Bytes())
	entries, err := rootunlock.Protect(ctx, v.binding(), root.Bytes(), protectors)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		if _, root := keystore.ReadRoot(dir); errors.Is(root, keystore.ErrNoStore) {
			err = rootunlock.Discard(ctx, err, v.binding(), protectors, entries)
		}
	}()
	if err := rootunlock.CheckWork(v.cfg.UnlockWork, v.binding(), protectors, entries); err != nil {
		return err
	}
	v.setOrigin()
	description := keystore.Root{VaultID: v.id, Edition: uint8(v.cfg.Edition), Created: v.clock.Now(), Protectors: entries}
	cfg := v.storeConfig(root.Bytes())
	// start acquires what a vault needs besides its store, above all locked memory. It runs
	// before the store is complete, because Create rejects the directory of a complete one.
	cfg.Ready = func(s *keystore.Store) error {
		v.store = s
		return v.start(ctx)
	}
	_, err = construct(cfg, description)
	return err
}

// Open opens the vault in dir with the first of the protectors that fits. Give the
// protectors of devices first: if a later protector opens the vault, Open re-seals the root
// under each earlier protector whose device was cleared or replaced, and records that. A
// relative dir is resolved once, against the working directory at the time of the call.
//
// Open uses no byte of a root file before it has verified the file's MAC under the root
// that a protector returned. If root and root.copy differ, Open uses the newer one,
// whichever of them a protector opened first, and replaces the other; it records
// OpHealRootFile before it replaces the file. ctx also bounds the computation for a
// passphrase while it runs. Config.UnlockWork bounds the work for a file that is not yet
// authenticated.
//
// There is no read-only mode. Open also returns ErrUnavailable for a directory that cannot
// be used: it belongs to another user, others may write to it, or it is on a file system
// that is read-only or has no locks. The text names the path and the remedy.
//
// Calls of Open in which no protector opened the vault are counted in the file "refused",
// and the next successful Open records their number and times. The file is not
// authenticated.
//
// Errors:
//
//   - ErrNoVault, ErrWrongVault, ErrInUse, ErrUnavailable: about the directory.
//   - ErrUnlock, ErrWrongDevice: no protector opens the vault.
//   - ErrCorrupt, ErrRolledBack: about the stored data.
//   - ErrStorageFull, ErrLockedMemory, ErrAuditUnavailable: a resource is missing.
//   - ErrInvalid: an argument is wrong, or cfg names another edition than the vault's.
//   - ErrUnsupported: this process cannot use the edition.
//   - ErrSelfTest: this process's cryptography computes wrong results.
//   - The error of ctx.
func Open(ctx context.Context, dir string, cfg Config, protectors ...driver.Protector) (*Vault, error) {
	if ctx == nil {
		return nil, wrap(OpOpenVault, "", errNoContext)
	}
	v, err := open(ctx, dir, cfg, slices.Clone(protectors))
	return v, wrap(OpOpenVault, "", err)
}

// unlockAt opens the store of the vault in dir, and repairs it if done is set. The caller
// frees the unlocker.
func unlockAt(ctx context.Context, dir string, cfg Config, protectors []driver.Protector, done *keystore.RepairReport) (_ *Vault, u *rootunlock.Unlocker, how rootunlock.Result, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, nil, how, err
	}
	if err = rootunlock.CheckNoNil(protectors); err != nil {
		return nil, nil, how, err
	}
	if dir, err = absolute(dir); err != nil {
		return nil, nil, how, err
	}
	v := newVault(cfg)
	v.repaired = done
	defer func() { v.cleanUp(err, (*keystore.DirLock).Unlock) }()
	if _, err = v.pin().Candidates(dir); err != nil { // before Lock writes to the directory
		return nil, nil, how, openError(dir, err)
	}
	if v.lock, err = keystore.Lock(dir); err != nil {
		return nil, nil, how, err
	}
	u = rootunlock.New(v.arena, cfg.UnlockWork, protectors)
	how, err = v.openStore(ctx, dir, u)
	if err != nil {
		if errors.Is(err, ErrUnlock) && len(protectors) > 0 {
			refusedopens.Add(v.lock, v.clock.Now())
		}
		u.Free()
		return nil, nil, how, err
	}
	return v, u, how, nil
}

func open(ctx context.Context, dir string, cfg Config, protectors []driver.Protector) (_ *Vault, err error) {
	v, u, unlocked, err := unlockAt(ctx, dir, cfg, protectors, nil)
	if err != nil {
		return nil, err
	}
	defer func() { v.cleanUp(err, (*keystore.DirLock).Unlock) }()
	defer u.Free()
	if err = v.start(ctx); err != nil {
		return nil, err
	}
	opened := v.record(OpOpenVault, v.cfg.Owner)
	opened.Detail = editionrules.Detail(v.cfg.Edition)
	opened.Detail["protector"] = unlocked.By
	refused, some := v.refusedRecord()
	err = v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
		v.recordClock(tx)
		if some {
			v.appendAudit(tx, refused)
		}
		v.appendAudit(tx, opened)
		return nil
	})
	if err != nil {
		return nil, err
	}
	_ = v.lock.RemoveBeside(refusedopens.File) // if the file stays, the next Open records it again
	for _, p := range unlocked.OtherDevice {
		if err = v.reprotect(ctx, p, unlocked.Root.Bytes()); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// openStore opens the store in dir with the first of its root files that u unlocks.
func (v *Vault) openStore(ctx context.Context, dir string, u *rootunlock.Unlocker) (how rootunlock.Result, err error) {
	files, err := v.pin().Candidates(dir)
	if err != nil {
		return how, err
	}
	err = u.OpenStore(ctx, files, func(f *keystore.Root) error {
		how, err = v.openWith(ctx, f, files, u)
		return err
	})
	return how, err
}

// openWith opens the store with a root file that u unlocked. The root file that the store's
// head names is decisive for the protectors: whichever file gave the root, one of the
// protectors must also open an entry of that file.
func (v *Vault) openWith(ctx context.Context, f *keystore.Root, files []*keystore.Root, u *rootunlock.Unlocker) (how rootunlock.Result, err error) {
	v.id = f.VaultID
	v.setOrigin()
	cfg := v.storeConfig(u.RootOf(f))
	cfg.Roots = u.Roots()
	cfg.Admit = func(f *keystore.Root, secret func(label string, dst []byte)) error {
		return v.pin().Check(f, v.arena, secret)
	}
	cfg.Accept = func(inForce *keystore.Root) (err error) {
		if err := u.CheckNewest(ctx, inForce, files, v.cfg.UnlockWork); err != nil {
			return err
		}
		v.id, v.log.Origin = inForce.VaultID, audit.Origin(rootunlock.IDText(inForce.VaultID))
		u.Limit = math.MaxUint64 // no limit: this file is authenticated
		how, err = u.Unlock(ctx, rootunlock.WrappedIn(inForce))
		return err
	}
	cfg.Healed = v.recordHealedFiles
	if v.repaired == nil {
		v.store, err = keystore.Open(ctx, cfg, f)
	} else {
		v.store, *v.repaired, err = keystore.Repair(ctx, cfg, f, v.recordRepair)
	}
	u.Limit = v.cfg.UnlockWork
	return how, err
}

// pin returns what Config pins of the vault.
func (v *Vault) pin() rootunlock.Pin {
	return rootunlock.Pin{VaultID: v.cfg.VaultID, LogKey: v.cfg.LogKey, Edition: v.cfg.Edition, Suite: keystore.Suite(v.suite)}
}

// recordHealedFiles records the files that the store is about to replace or remove.
func (v *Vault) recordHealedFiles(tx *keystore.Tx, faults []keystore.FileFault) {
	for _, f := range faults {
		op := OpHealRootFile
		if f.File == keystore.JournalFile {
			op = OpHealJournal
		}
		r := v.record(op, v.cfg.Owner)
		r.Detail = map[string]string{"file": f.File, "fault": f.Fault}
		v.appendAudit(tx, r)
	}
}

// refusedRecord returns the record of the calls of Open that failed since the last
// successful one. It returns false if there were none.
func (v *Vault) refusedRecord() (audit.Record, bool) {
	r, err := refusedopens.Read(v.lock)
	if err == nil && r.Count == 0 {
		return audit.Record{}, false
	}
	rec := v.record(OpOpenVault, principalUnnamed)
	rec.Result, rec.Error = audit.Refused, errorName(ErrUnlock)
	rec.Detail = map[string]string{"source": "unauthenticated file"}
	if err != nil {
		rec.Detail["count"] = "unreadable"
		return rec, true
	}
	if r.Count > 1 {
		rec.Count = uint64(r.Count)
	}
	rec.Detail["first"], rec.Detail["last"] = r.First.UTC().Format(time.RFC3339), r.Last.UTC().Format(time.RFC3339)
	return rec, true
}

// openError returns ErrInvalid for a path that cannot be that of a directory, because that
// is a mistake of the caller. It returns err for other faults of a directory.
func openError(dir string, err error) error {
	if info, statErr := os.Stat(dir); statErr == nil && !info.IsDir() {
		return invalid("%s is a file, not a directory", dir)
	}
	for _, mistake := range []error{syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.ELOOP} {
		if errors.Is(err, mistake) {
			return invalid("%s cannot be a directory: %v; choose another path", dir, mistake)
		}
	}
	return err
}

const (
	// reseedEvery is the interval between two requests for a device's random bytes.
	reseedEvery = 10 * time.Minute
	// reseedWithin is how long Create and Open wait for the random bytes of the devices. The
	// bytes of a slower device are mixed in when they arrive.
	reseedWithin = time.Second
)

// start prepares everything that depends on the open store, and completes the operations that
// a crash interrupted.
func (v *Vault) start(ctx context.Context) (err error) {
	if err := v.openSecrets(ctx); err != nil {
		return err
	}
	v.handles = keyhandles.New()
	v.epochs = epochbatch.New(v.store)
	v.records = &keyCache{store: v.store}
	v.failures = failures.New()
	v.dataKeys = memorykey.NewPool()
	if v.uses, err = usestore.Open(ctx, v.store, useOf); err != nil {
		return err
	}
	v.tasks = tasks.New(tasks.Config{
		Now: v.confirmedNow, Timeout: v.cfg.taskTimeout,
		DriverOf: v.driverOf, Run: v.runTask,
	})
	if err := v.openClock(ctx); err != nil {
		return err
	}
	if err := v.openRestored(ctx); err != nil {
		return err
	}
	if err := v.openPolicies(ctx); err != nil {
		return err
	}
	if err := v.recoverIntents(ctx); err != nil {
		return err
	}
	v.startTasks(ctx)
	v.openSchedule()
	if err := v.openScrub(ctx); err != nil {
		return err
	}
	v.trimDue.Store(v.store.LogFirst().Size > 0) // a crash may have come between a cut and its end
	working, stop := context.WithCancel(context.Background())
	v.stop = stop
	if n, ok := v.cfg.Clock.(clock.Notifier); ok {
		deaf := n.Notify(v.clockMoved)
		v.stop = func() { deaf(); stop() }
	}
	asked := v.entropy.ReseedFrom(working, v.drivers, v.cfg.reseedEvery, v.tasks.Go)
	go v.runBackground(working)
	select {
	case <-asked:
	case <-time.After(v.cfg.reseedWithin):
	case <-ctx.Done():
	}
	return nil
}

// openSecrets derives the vault's own keys and opens the software engine.
func (v *Vault) openSecrets(ctx context.Context) (err error) {
	if v.secrets, err = vaultsecrets.New(v.arena, v.store); err != nil {
		return err
	}
	key, err := audit.NewLogKey(audit.Suite(v.suite), v.log.Origin, v.secrets.LogSeed())
	if err != nil {
		return err
	}
	v.log.Key.Store(key)
	v.entropy = entropy.New(v.suite, v.secrets.Entropy(), v.clock)
	engine, err := soft.Open(ctx, soft.Config{Key: v.secrets.Soft(), Edition: v.cfg.Edition})
	if err != nil {
		return err
	}
	v.drivers = map[string]driver.Driver{softDriver: engine}
	maps.Copy(v.drivers, v.cfg.Drivers)
	return nil
}
