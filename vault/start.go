package vault

import (
	"context"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

// start prepares everything that depends on the open store, and settles the operations that
// a crash interrupted.
func (v *Vault) start(ctx context.Context) error {
	if err := v.openSecrets(); err != nil {
		return err
	}
	v.handles = newHandles()
	v.burials = newBurials(v.store)
	v.keys = newKeyCache(v.store)
	v.failures = newFailureCounts()
	v.rest = newRestroom()
	v.agenda = newAgenda()
	if err := v.openClock(ctx); err != nil {
		return err
	}
	if err := v.settle(ctx); err != nil {
		return err
	}
	v.openAgenda(ctx)
	v.awake = true
	asked := make(chan struct{})
	go v.background(asked)
	select {
	case <-asked:
	case <-time.After(stirWithin):
	case <-ctx.Done():
	}
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

// background runs until Close. It writes counted failures, moves idle data keys to enclaves
// and runs due tasks. asked: see stir.
func (v *Vault) background(asked chan<- struct{}) {
	defer close(v.done)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-v.stopped; cancel() }()
	v.stir(ctx, asked)
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			v.writeCounts(v.failures.due(v.deadline.Now()))
			v.rest.sweep()
			v.keepAgenda(ctx)
		case <-v.stopped:
			v.agenda.work.Wait()
			return
		}
	}
}
