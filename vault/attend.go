package vault

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// patience is how long the vault waits for one background task.
	patience = 30 * time.Second
	// laneWidth is how many tasks run at the same time with one driver. Tasks that destroy
	// material share one change of epoch.
	laneWidth = 256
)

// byDriver groups the paths of due tasks by driver, so that a driver that hangs delays only
// its own tasks.
func (v *Vault) byDriver(ctx context.Context, paths []string) map[string][]string {
	lanes := map[string][]string{}
	for _, path := range paths {
		name := v.driverOf(ctx, path)
		lanes[name] = append(lanes[name], path)
	}
	return lanes
}

// driverOf returns the name of the driver of a path's task, or "" if it is not known.
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

// attend runs the due tasks of one driver: the first alone, and if it succeeds, the others
// concurrently. Failed tasks are retried later, and so are the remaining tasks if the
// driver hangs.
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

// attempt runs one task with a time limit, and postpones it if it fails. It returns the
// error of the context if the context ended.
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

// postpone schedules failed tasks for a retry.
func (v *Vault) postpone(paths ...string) {
	at := v.deadline.Now().Add(agendaRetry)
	for _, path := range paths {
		v.agenda.set(path, at)
	}
}
