package vault

import (
	"context"
	"errors"

	"strongroom.example/keystore"
)

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
		err = v.finish()
	}
	return wrap(OpCloseVault, "", errors.Join(err, v.closeStore((*keystore.DirLock).Unlock)))
}

// finish stops the background work, records the closing of the vault and wipes its keys.
func (v *Vault) finish() error {
	close(v.stopped)
	<-v.done
	v.writeCounts(v.failures.all())
	err := v.store.CommitInReserve(context.Background(), func(tx *keystore.Tx) error {
		v.markClock(tx)
		v.note(tx, v.record(OpCloseVault, v.cfg.Owner))
		return nil
	})
	return errors.Join(err, v.wipe())
}

// abandon releases everything that a failed Create or Open had acquired, and the directory
// by calling release. It does nothing if err is nil.
func (v *Vault) abandon(err error, release func(*keystore.DirLock) error) {
	if err == nil {
		return
	}
	if v.awake {
		close(v.stopped)
		<-v.done
	}
	v.wipe()
	v.closeStore(release)
}

// wipe wipes every key, in the reverse order of acquisition.
func (v *Vault) wipe() error {
	var errs []error
	if v.rest != nil {
		errs = append(errs, v.rest.close())
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
	if v.secrets != nil {
		v.secrets.free()
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
