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
	mu sync.Mutex
	at map[string]time.Time // by the path of a CMK's import record, or of an intent
}

func newAgenda() *agenda { return &agenda{at: map[string]time.Time{}} }

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

// openAgenda puts every deadline on the agenda and does what is due. What fails is
// tried again later, and does not keep the vault from opening: expired material is
// of no use to anybody, whether it is gone or not.
func (v *Vault) openAgenda(ctx context.Context) {
	for _, path := range v.store.Paths(imports) {
		v.schedule(ctx, strings.TrimPrefix(path, imports))
	}
	v.keepAgenda(ctx)
}

// keepAgenda does what is due.
func (v *Vault) keepAgenda(ctx context.Context) {
	for _, path := range v.agenda.due(v.deadline.Now()) {
		if err := v.meet(ctx, path); err != nil {
			v.agenda.set(path, v.deadline.Now().Add(agendaRetry))
		}
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
	r, err := v.store.Get(ctx, path)
	if err != nil {
		return err
	}
	in, err := decode[intent](path, r.Value)
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
