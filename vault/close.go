package vault

import (
	"context"
	"errors"

	"strongroom.example/keystore"
)

// Close waits for running operations, closes the log and the store and wipes every
// key. Operations that come meanwhile are ErrClosed at once. Data keys that are still open
// are destroyed; the drivers of Config are not closed. Closing twice is no error; the later
// call waits for the first. After ErrStorageFull the directory is still locked, and what
// has no room yet in it is kept: make room and call Close again. An operation must not call
// it: not an Authorizer, a protector, or a function that DataKey.Use runs.
func (v *Vault) Close() error {
	v.closing.Lock()
	defer v.closing.Unlock()
	var err error
	if v.gate.Shut() {
		err = v.finish()
	}
	return wrap(OpCloseVault, "", errors.Join(err, v.closeStore((*keystore.DirLock).Unlock)))
}

// finish ends what the vault does by itself, records that it is closed and wipes its keys.
func (v *Vault) finish() error {
	close(v.stopped)
	<-v.done
	v.writeCounts(v.failures.all())
	err := v.store.Commit(context.Background(), func(tx *keystore.Tx) error {
		v.markClock(tx)
		v.note(tx, v.record(OpCloseVault, v.cfg.Owner))
		return nil
	})
	return errors.Join(err, v.wipe())
}

// abandon releases what a failed Create or Open had taken, the directory by release.
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

// wipe ends every key, in the reverse order of taking.
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

// closeStore closes the store, and then gives up the directory. A store that found the
// disk full is open still, and its directory nobody else's.
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
