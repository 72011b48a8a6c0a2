package vault

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
)

const (
	// agendaRetry is the delay before a failed task is retried.
	agendaRetry = time.Minute
	// agendaSoon is long enough for the batch that is being staged.
	agendaSoon = 2 * time.Second
)

// agenda is the timer queue of the vault's background work. It is rebuilt at each open and
// not stored.
type agenda struct {
	mu    sync.Mutex
	at    map[string]time.Time // by the path of a CMK's import record, or of an intent
	lanes map[string]bool      // drivers with work in progress
	work  sync.WaitGroup       // the goroutines of the lanes
}

func newAgenda() *agenda { return &agenda{at: map[string]time.Time{}, lanes: map[string]bool{}} }

func (a *agenda) set(path string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at.IsZero() {
		delete(a.at, path)
		return
	}
	a.at[path] = at
}

// due removes and returns the paths whose time has come.
func (a *agenda) due(now time.Time) (paths []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for path, at := range a.at {
		if !now.Before(at) {
			paths = append(paths, path)
			delete(a.at, path)
		}
	}
	return paths
}

// enter starts the work of a driver. It returns false if that driver's work is in progress.
func (a *agenda) enter(lane string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lanes[lane] {
		return false
	}
	a.lanes[lane] = true
	return true
}

func (a *agenda) leave(lane string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.lanes, lane)
}

// openAgenda schedules every deadline and runs the due tasks. A failed task is retried
// later and does not keep the vault from opening, because expired material cannot be used
// even while it still exists.
func (v *Vault) openAgenda(ctx context.Context) {
	for _, path := range v.store.Paths(imports) {
		v.schedule(ctx, strings.TrimPrefix(path, imports))
	}
	v.keepAgenda(ctx)
	v.agenda.work.Wait()
}

// keepAgenda starts the due tasks and does not wait for them.
func (v *Vault) keepAgenda(ctx context.Context) {
	now := v.deadline.Now()
	for lane, paths := range v.byDriver(ctx, v.agenda.due(now)) {
		if !v.agenda.enter(lane) {
			for _, path := range paths {
				v.agenda.set(path, now)
			}
			continue
		}
		v.agenda.work.Go(func() {
			defer v.agenda.leave(lane)
			v.attend(ctx, paths)
		})
	}
}

// meet runs the task of one path.
func (v *Vault) meet(ctx context.Context, path string) error {
	if key, ok := strings.CutPrefix(path, imports); ok {
		return v.expire(ctx, key)
	}
	if v.store.Version(path) == 0 {
		return nil
	}
	in, err := v.intentAt(ctx, path)
	if err != nil {
		return err
	}
	return v.settleIntent(ctx, in)
}

// schedule schedules the next deadline of a CMK.
func (v *Vault) schedule(ctx context.Context, key string) {
	path := importPathOf(key)
	next, err := v.nextDeadline(ctx, key)
	if err != nil && !errors.Is(err, ErrNotFound) {
		next = v.deadline.Now().Add(agendaRetry)
	}
	v.agenda.set(path, next)
}

// nextDeadline returns the time when the CMK's material or token expires, or zero if
// neither does.
func (v *Vault) nextDeadline(ctx context.Context, key string) (time.Time, error) {
	t, err := v.keys.key(ctx, key)
	if err != nil {
		return time.Time{}, err
	}
	state, err := v.importOf(ctx, key)
	if err != nil {
		return time.Time{}, err
	}
	next := t.ValidTo
	if is := state.Token; is != nil && !is.Gone && (next.IsZero() || is.ValidTo.Before(next)) {
		next = is.ValidTo
	}
	return next, nil
}
