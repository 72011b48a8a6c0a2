package vault

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// making describes an operation that makes material. begin, if set, is committed with the
// intent; finish, if set, with the outcome.
type making struct {
	t             *target // nil for a CMK that does not exist yet
	ver           version
	op            Operation
	begin, finish func(*keystore.Tx) error
	// create makes the material; nil means that the driver generates it. It may be called
	// repeatedly.
	create func(context.Context) (driver.Created, error)
	// keep stores the material before finish; nil means that ver is stored as a key version.
	keep func(*keystore.Tx, madeKey) error
	// discarded: create destroys the material that it makes, so keep has nothing to store.
	discarded bool
	// token: see intent.
	token string
}

// generate returns a function that generates the material in the driver.
func (v *Vault) generate(m making, id driver.MaterialID) func(context.Context) (driver.Created, error) {
	return func(ctx context.Context) (driver.Created, error) {
		return v.drivers[m.ver.Driver].GenerateKey(ctx, id, m.ver.spec())
	}
}

// make runs intent → device → outcome. The intent is durable before the device is used. The
// outcome and the change of state are one batch, which the caller commits with e.
func (v *Vault) make(ctx context.Context, e *entry, m making) error {
	id, err := m.ver.material()
	if err != nil {
		return err
	}
	in := intent{Operation: m.op, Key: m.ver.Key, Number: m.ver.Number, Driver: m.ver.Driver, Material: id, Principal: Principal(e.rec.Principal), Token: m.token}
	announced := e.rec
	announced.Phase, announced.Result = audit.Intent, ""
	err = v.commitIf(ctx, m.t, e, func(tx *keystore.Tx) error {
		if m.begin != nil {
			if err := m.begin(tx); err != nil {
				return err
			}
		}
		v.announce(tx, &in, announced)
		return nil
	})
	if err != nil {
		return err
	}
	e.rec.Phase, e.rec.Intent = audit.Outcome, in.Seq
	var made madeKey
	if m.create == nil {
		m.create = v.generate(m, id)
	}
	if m.keep == nil {
		m.keep = func(tx *keystore.Tx, made madeKey) error { return keepVersion(tx, m.ver, made) }
	}
	came := false
	defer func() {
		if !came { // the driver panicked, and the process may continue
			v.postpone(intentPath(id))
		}
	}()
	err = Retry(ctx, func(ctx context.Context) (err error) {
		if made.Created, err = m.create(ctx); err != nil || m.discarded {
			return err
		}
		made.check, err = v.checkMade(ctx, m.ver, made.Created)
		return err
	})
	came = true
	e.undo = func(cause error) error {
		e.settled = true
		ctx, cancel := outlive(ctx)
		defer cancel()
		in.uncounted = uncounted(cause)
		failed := e.rec // keeps principal, rule and reason
		failed.Error = errorName(translate(cause))
		err := v.abandonIntent(ctx, in, failed)
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("%w: driver %q did not take back what it made; that is tried again later", ErrUnavailable, in.Driver)
		}
		return err
	}
	if err != nil {
		return errors.Join(err, e.undo(err))
	}
	e.outcome, e.askAgain = true, true
	e.change = func(tx *keystore.Tx) error {
		if err := m.keep(tx, made); err != nil {
			return err
		}
		tx.Delete(intentPath(id))
		if m.finish == nil {
			return nil
		}
		return m.finish(tx)
	}
	return nil
}
