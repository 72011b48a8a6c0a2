package vault

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
)

const (
	// agendaRetry is when what could not be done is tried again.
	agendaRetry = time.Minute
	// agendaSoon leaves time for the batch that is being staged.
	agendaSoon = 2 * time.Second
)

// agenda is what the vault has to do by itself, and when. It is rebuilt at each
// open, so it is not stored.
type agenda struct {
	mu    sync.Mutex
	at    map[string]time.Time // by the path of a CMK's import record, or of an intent
	lanes map[string]bool      // the drivers that are at work
	work  sync.WaitGroup       // the lanes
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

// due takes out what is to be done by now.
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

// enter begins the work of a driver; false if it is at work.
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

// openAgenda puts every deadline on the agenda and does what is due. What fails is
// tried again later, and does not keep the vault from opening: expired material is
// of no use to anybody, whether it is gone or not.
func (v *Vault) openAgenda(ctx context.Context) {
	for _, path := range v.store.Paths(imports) {
		v.schedule(ctx, strings.TrimPrefix(path, imports))
	}
	v.keepAgenda(ctx)
	v.agenda.work.Wait()
}

// keepAgenda has what is due done, and does not wait for it.
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

// meet does what one path is on the agenda for.
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

// schedule puts the next deadline of a CMK on the agenda.
func (v *Vault) schedule(ctx context.Context, key string) {
	path := importPathOf(key)
	next, err := v.nextDeadline(ctx, key)
	if err != nil && !errors.Is(err, ErrNotFound) {
		next = v.deadline.Now().Add(agendaRetry)
	}
	v.agenda.set(path, next)
}

// nextDeadline is when the CMK's material or token expires; zero if neither does.
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
