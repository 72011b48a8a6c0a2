package vault

import (
	"context"
	"errors"

	"strongroom.example/keystore"
)

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
