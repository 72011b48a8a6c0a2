package vault

import (
	"context"
	"sync"
	"time"

	"strongroom.example/audit"
	"strongroom.example/keystore"
)

// Refusals are recorded, and a principal who is refused again and again shall not
// fill the disk: after the first refusalsEach in a window, the rest are counted
// into one record.
const (
	refusalsEach   = 16
	refusalWindow  = time.Minute
	refusalTallies = 1024 // principals counted apart; all others share one tally
)

// byMany is the principal on record of refusals that are counted for several.
const byMany Principal = "(many)"

// refusals counts refusals by principal.
type refusals struct {
	mu      sync.Mutex
	tallies map[string]*tally
}

// tally is one principal's refusals in one window.
type tally struct {
	since    time.Time
	recorded int
	counted  uint64
	last     audit.Record
}

func newRefusals() *refusals { return &refusals{tallies: map[string]*tally{}} }

// admit reports whether a refusal gets a record of its own; else it is counted.
func (r *refusals) admit(rec audit.Record, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := rec.Principal
	if r.tallies[name] == nil && len(r.tallies) >= refusalTallies {
		name, rec.Principal = "", string(byMany)
	}
	t := r.tallies[name]
	if t == nil {
		t = &tally{since: now}
		r.tallies[name] = t
	}
	if t.recorded < refusalsEach && name != "" {
		t.recorded++
		return true
	}
	t.counted++
	t.last = rec
	return false
}

// due takes out the tallies whose window has passed.
func (r *refusals) due(now time.Time) []tally {
	return r.take(func(t *tally) bool { return now.Sub(t.since) >= refusalWindow })
}

// all takes out every tally.
func (r *refusals) all() []tally { return r.take(func(*tally) bool { return true }) }

func (r *refusals) take(ripe func(*tally) bool) (out []tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, t := range r.tallies {
		if ripe(t) {
			out = append(out, *t)
			delete(r.tallies, name)
		}
	}
	return out
}

// flushRefusals writes the counted record of each tally that has one.
func (v *Vault) flushRefusals(tallies []tally) {
	for _, t := range tallies {
		if t.counted == 0 {
			continue
		}
		t.last.Count = t.counted
		// If the log cannot be written the count is lost, and nothing was released.
		_ = v.store.Commit(context.Background(), func(tx *keystore.Tx) error {
			v.note(tx, t.last)
			return nil
		})
	}
}

// refuse records a refusal, or counts it. An error says that it could not be recorded.
// Whether the key changed meanwhile makes no difference: a stranger shall not learn that
// there is one that does.
func (v *Vault) refuse(ctx context.Context, r audit.Record, cause error) error {
	r.Result, r.Error = audit.Refused, errorName(cause)
	if !v.refusals.admit(r, v.deadline.Now()) {
		return nil
	}
	return v.commit(context.WithoutCancel(ctx), nil, &entry{rec: r})
}
