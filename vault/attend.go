package vault

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// patience is how long the vault waits by itself for one thing to be done.
	patience = 30 * time.Second
	// laneWidth is how many things it has one driver do at a time. Those that destroy
	// material share a change of epoch.
	laneWidth = 256
)

// byDriver sorts paths of the agenda by the driver that the work is done with: one
// that hangs holds up nobody's work but its own.
func (v *Vault) byDriver(ctx context.Context, paths []string) map[string][]string {
	lanes := map[string][]string{}
	for _, path := range paths {
		name := v.driverOf(ctx, path)
		lanes[name] = append(lanes[name], path)
	}
	return lanes
}

// driverOf names the driver of a path's work; empty where it cannot be told.
func (v *Vault) driverOf(ctx context.Context, path string) string {
	if key, ok := strings.CutPrefix(path, imports); ok {
		t, err := v.keys.key(ctx, key)
		if err != nil {
			return ""
		}
		return t.Driver
	}
	in, err := v.intentAt(ctx, path)
	if err != nil {
		return ""
	}
	return in.Driver
}

// intentAt reads a stored intent.
func (v *Vault) intentAt(ctx context.Context, path string) (intent, error) {
	r, err := v.store.Get(ctx, path)
	if err != nil {
		return intent{}, err
	}
	return decode[intent](path, r.Value)
}

// attend does what is due with one driver: the first alone, and if that goes well the
// others side by side. What fails is tried again later, and so is all that is left when
// the driver hangs.
func (v *Vault) attend(ctx context.Context, paths []string) {
	if v.attempt(ctx, paths[0]) != nil {
		v.postpone(paths[1:]...)
		return
	}
	var hangs atomic.Bool
	var wg sync.WaitGroup
	slots := make(chan struct{}, laneWidth)
	for _, path := range paths[1:] {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if hangs.Load() {
				v.postpone(path)
			} else if v.attempt(ctx, path) == context.DeadlineExceeded {
				hangs.Store(true)
			}
		})
	}
	wg.Wait()
}

// attempt does one thing, with patience; what fails is put off. Its error is the
// context's if that ended.
func (v *Vault) attempt(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, v.cfg.patience)
	defer cancel()
	err := v.meet(ctx, path)
	if err == nil {
		return nil
	}
	v.postpone(path)
	return orElse(ctx.Err(), err)
}

// postpone puts off what could not be done.
func (v *Vault) postpone(paths ...string) {
	at := v.deadline.Now().Add(agendaRetry)
	for _, path := range paths {
		v.agenda.set(path, at)
	}
}
