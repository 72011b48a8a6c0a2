package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// intent is the stored promise of an operation that makes material: what is to be
// settled if the outcome never came.
type intent struct {
	Operation Operation         `json:"operation"`
	Key       string            `json:"key"`
	Number    uint32            `json:"number"`
	Driver    string            `json:"driver"`
	Material  driver.MaterialID `json:"material"`
	Principal Principal         `json:"principal"`
	// Seq is that of the intent's record. It is stored where it is known beforehand;
	// else the record is looked for from From on, the size of the log before it.
	Seq  uint64 `json:"seq,omitempty"`
	From uint64 `json:"from,omitempty"`
	// Token is the import token that an import tries, by its wrapping key.
	Token string `json:"token,omitempty"`
	// Doomed: the material is to be destroyed, and the intent is settled when it is.
	Doomed *doom `json:"doomed,omitempty"`
}

// CreateKey makes a CMK. Errors: ErrInvalid, ErrTooLarge, ErrExists for a taken alias,
// ErrUnsupported, ErrDenied.
func (c Client) CreateKey(ctx context.Context, o KeyOptions) (Key, error) {
	o, err := c.newKeyOptions(o)
	if err != nil {
		return Key{}, wrap(OpCreateKey, o.Alias, err)
	}
	var made Key
	err = c.onVault(ctx, request{op: OpCreateKey}, func(ctx context.Context, e *entry) error {
		v := c.vault
		now := v.clock.Now().UTC()
		id := newKeyID(v.hedge.id())
		k := Key{
			ID: id, Alias: o.Alias, Description: o.Description, Tags: o.Tags, State: Creating, Usage: o.Usage, Spec: o.Spec,
			Origin: o.Origin, Created: now, Creator: c.principal, Version: 1, Rotated: now, Driver: o.Driver,
		}
		ver, err := v.newVersion(k, 1, now)
		if err != nil {
			return err
		}
		k.settle(ver)
		if o.Origin == OriginExternal {
			made = v.awaitImport(e, k)
			return nil
		}
		e.rec.Key, e.rec.KeyVersion, e.rec.Driver, e.rec.Algorithm = id, 1, o.Driver, string(ver.Algorithm)
		if o.Alias != "" {
			e.rec.Detail = map[string]string{"alias": o.Alias}
		}
		begin := func(tx *keystore.Tx) error { return putNewKey(tx, k) }
		finish := func(tx *keystore.Tx) error {
			// The alias, description and tags of a key in Creating cannot change.
			k.State = Enabled
			tx.Put(keyPath(id), encode(k))
			return nil
		}
		made = k
		made.State = Enabled
		return v.make(ctx, e, making{ver: ver, op: OpCreateKey, begin: begin, finish: finish})
	})
	if err != nil {
		return Key{}, err
	}
	return made, nil
}

// awaitImport has e store a CMK whose material is still to come.
func (v *Vault) awaitImport(e *entry, k Key) Key {
	k.State, k.Version = PendingImport, 0
	e.rec.Key, e.rec.Driver = k.ID, k.Driver
	e.rec.Detail = map[string]string{"origin": string(k.Origin)}
	if k.Alias != "" {
		e.rec.Detail["alias"] = k.Alias
	}
	e.change = func(tx *keystore.Tx) error {
		tx.Put(importPathOf(k.ID), encode(importState{}))
		return putNewKey(tx, k)
	}
	return k
}

// newKeyOptions checks options and fills in defaults.
func (c Client) newKeyOptions(o KeyOptions) (KeyOptions, error) {
	if err := c.known(); err != nil {
		return o, err
	}
	row, err := chooseSpec(o.Spec, o.Usage, c.vault.cfg.Edition)
	if err != nil {
		return o, err
	}
	o.Spec, o.Usage = row.spec, row.usage
	if o.Origin == "" {
		o.Origin = OriginVault
	}
	if o.Origin != OriginVault && o.Origin != OriginExternal {
		return o, invalid("origin %q is neither %s nor %s", o.Origin, OriginVault, OriginExternal)
	}
	if o.Driver == "" {
		o.Driver = c.vault.driverFor(row, o.Origin)
	}
	if o.Alias != "" {
		if err := checkAlias(o.Alias); err != nil {
			return o, err
		}
	}
	return o, checkText(o.Description, o.Tags)
}

// driverFor returns the default driver, or the software engine where that cannot
// do the spec, not import it, or is slow at it.
func (v *Vault) driverFor(row specRow, origin Origin) string {
	d, spec := v.drivers[v.cfg.Driver], row.device(v.suite)
	if can, ok := d.Info().Find(spec); ok && !can.Slow && (origin == OriginVault || importable(d, spec)) {
		return v.cfg.Driver
	}
	return softDriver
}

// newVersion describes version n of CMK k, to be made on k's driver.
func (v *Vault) newVersion(k Key, n uint32, now time.Time) (version, error) {
	d, ok := v.drivers[k.Driver]
	if !ok {
		return version{}, invalid("driver %q is not among Config.Drivers", k.Driver)
	}
	row, err := chooseSpec(k.Spec, k.Usage, v.cfg.Edition)
	if err != nil {
		return version{}, err
	}
	spec, info := row.device(v.suite), d.Info()
	can, ok := info.Find(spec)
	if !ok {
		return version{}, fmt.Errorf("%w: driver %q has no %s", ErrUnsupported, k.Driver, spec)
	}
	ver := version{
		KeyVersion: KeyVersion{Key: k.ID, Number: n, Created: now, Origin: k.Origin, Residence: Wrapped, Level: driver.LevelSoftware, Driver: k.Driver, Provenance: ProvenanceVault},
		Algorithm:  spec.Algorithm, DeviceUse: spec.Usage,
	}
	if k.Origin == OriginExternal && !importable(d, spec) {
		return version{}, fmt.Errorf("%w: driver %q does not import %s", ErrUnsupported, k.Driver, spec)
	}
	if can.Resident {
		ver.Residence, ver.Level, ver.Provenance = Resident, info.Level, ProvenanceDevice
	}
	if k.Origin == OriginExternal {
		ver.Provenance = ProvenanceImported
	}
	ver.Material = driver.MaterialID(v.hedge.id()).String()
	return ver, nil
}

// putNewKey stores a new CMK and takes its alias.
func putNewKey(tx *keystore.Tx, k Key) error {
	if k.Alias != "" {
		if tx.Version(aliasPath(k.Alias)) != 0 {
			return fmt.Errorf("%w: alias %q", ErrExists, k.Alias)
		}
		tx.Put(aliasPath(k.Alias), []byte(k.ID))
	}
	tx.Put(keyPath(k.ID), encode(k))
	return nil
}

// making is an operation that makes material: begin goes with the intent, finish, if
// there is one, with the outcome.
type making struct {
	ver           version
	op            Operation
	begin, finish func(*keystore.Tx) error
	// create makes the material; nil has the driver generate it. It is repeatable.
	create func(context.Context) (driver.Created, error)
	// keep stores what was made, before finish; nil stores ver as a key version.
	keep func(*keystore.Tx, driver.Created) error
	// token: see intent.
	token string
}

// generate has the driver make the material.
func (v *Vault) generate(m making, id driver.MaterialID) func(context.Context) (driver.Created, error) {
	return func(ctx context.Context) (driver.Created, error) {
		return v.drivers[m.ver.Driver].GenerateKey(ctx, id, m.ver.spec())
	}
}

// keepVersion stores a key version with its material.
func keepVersion(tx *keystore.Tx, ver version, created driver.Created) error {
	id, err := ver.material()
	if err != nil {
		return err
	}
	ver.Attributes, ver.Public = created.Attributes, created.PublicDER
	tx.Put(versionPath(ver.Key, ver.Number), encode(ver))
	tx.PutMaterial(materialPath(id), created.Blob)
	return nil
}

// make runs intent → device → outcome. The intent is durable before the device is
// asked; the outcome and the change of state are one batch, which e commits.
func (v *Vault) make(ctx context.Context, e *entry, m making) error {
	id, err := m.ver.material()
	if err != nil {
		return err
	}
	in := intent{Operation: m.op, Key: m.ver.Key, Number: m.ver.Number, Driver: m.ver.Driver, Material: id, Principal: Principal(e.rec.Principal), Token: m.token}
	announced := e.rec
	announced.Phase, announced.Result = audit.Intent, ""
	err = v.store.Commit(ctx, func(tx *keystore.Tx) error {
		if err := m.begin(tx); err != nil {
			return err
		}
		v.announce(tx, &in, announced)
		return nil
	})
	if err != nil {
		return err
	}
	e.rec.Phase, e.rec.Intent = audit.Outcome, in.Seq
	var created driver.Created
	if m.create == nil {
		m.create = v.generate(m, id)
	}
	if m.keep == nil {
		m.keep = func(tx *keystore.Tx, created driver.Created) error { return keepVersion(tx, m.ver, created) }
	}
	err = Retry(ctx, func(ctx context.Context) (err error) {
		created, err = m.create(ctx)
		return err
	})
	e.undo = func(cause error) error {
		e.settled = true
		ctx, cancel := outlive(ctx)
		defer cancel()
		err := v.abandonIntent(ctx, in, errorName(translate(cause)))
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("%w: driver %q did not take back what it made; that is tried again later", ErrUnavailable, in.Driver)
		}
		return err
	}
	if err != nil {
		return errors.Join(err, e.undo(err))
	}
	e.detached = true
	e.change = func(tx *keystore.Tx) error {
		if err := m.keep(tx, created); err != nil {
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
