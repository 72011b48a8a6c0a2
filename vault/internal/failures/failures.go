// Package failures limits how many failed calls have an audit record of their own, and
// counts the others.
//
// Every failed call is recorded. A caller who fails repeatedly must not fill the disk. Only
// the first failures of a kind have records of their own, therefore; the others are counted
// in memory and written as one record with a count.
package failures

import (
	"cmp"
	"sync"
	"time"

	"strongroom.example/audit"
)

const (
	// Each is how many failures of one kind (principal, operation, class of error)
	// get a record of their own in one window.
	Each   = 16
	Window = time.Minute
	// MaxRecords is how many failures of all principals together get a record of their
	// own in one window. It bounds what a caller can write by inventing names.
	MaxRecords = 4096
	// maxKinds is how many kinds are counted separately for one principal, and
	// maxAllKinds for all principals. Further kinds share one count under their
	// principal's name.
	maxKinds    = 512
	maxAllKinds = 8192
	// MaxPrincipals is how many principals are counted separately. If there are more, the
	// counts of the principal with the fewest failures are moved to Many, so that the
	// newest principal has its own count.
	MaxPrincipals = 1024
	// CountAfter is the delay before the first count is written. The delay doubles with each
	// further count in the same window, up to the length of the window. Killing the process
	// loses at most the counts of this delay.
	CountAfter = 2 * time.Second
)

const (
	// Many is the recorded principal of failures that are counted for several principals.
	Many = "(many)"
	// SeveralOperations is the recorded operation of a count that covers several kinds.
	SeveralOperations = "(several)"
)

// A kind identifies the failures that one principal's count covers.
type kind struct {
	op    string
	class string
}

// kindCount counts the failures of one kind.
type kindCount struct {
	window   time.Time // start of its window
	recorded int       // records written in this window
	counted  uint64    // failures not written yet
	since    time.Time // time of the first of them
	wait     time.Duration
	last     audit.Record
}

// principalCounts holds the counts of one principal.
type principalCounts struct {
	kinds map[kind]*kindCount
	rest  kindCount // failures beyond the limits of kinds
	seen  time.Time
	total uint64 // failures since the counts began
}

// A Counter counts the failures of the last window. It is safe for concurrent use.
type Counter struct {
	mu         sync.Mutex
	principals map[string]*principalCounts
	kinds      int // of all principals
	many       kindCount
	window     time.Time
	recorded   int // records written in this window, of all principals
}

// New returns an empty Counter.
func New() *Counter { return &Counter{principals: map[string]*principalCounts{}} }

// Principals returns the number of principals that are counted separately.
func (f *Counter) Principals() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.principals)
}

// passed reports whether d has passed since then. It has if the time was set back.
func passed(then time.Time, d time.Duration, now time.Time) bool {
	return now.Before(then) || now.Sub(then) >= d
}

// Admit reports whether the failure may have a record of its own. If not, the caller counts
// it.
func (f *Counter) Admit(rec audit.Record, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.countsOf(rec.Principal, now)
	if passed(f.window, Window, now) {
		f.window, f.recorded = now, 0
	}
	t := f.countOf(a, rec, now)
	if t == &a.rest || t.recorded >= Each || f.recorded >= MaxRecords {
		return false
	}
	a.total++
	t.recorded++
	f.recorded++
	return true
}

// Count counts n failures that have no record of their own.
func (f *Counter) Count(rec audit.Record, n uint64, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.countsOf(rec.Principal, now)
	a.total += n
	t := f.countOf(a, rec, now)
	if t == &a.rest && (t.last.Operation != "" && t.last.Operation != rec.Operation || t.last.Error != rec.Error) {
		rec.Operation = SeveralOperations
	}
	t.add(rec, n, now)
}

func (t *kindCount) add(rec audit.Record, n uint64, now time.Time) {
	if t.counted == 0 {
		t.since = now
	}
	t.counted += n
	t.last = rec
}

// countsOf returns the counts of a principal. If there are too many principals it first
// evicts one.
func (f *Counter) countsOf(principal string, now time.Time) *principalCounts {
	a := f.principals[principal]
	if a == nil {
		if len(f.principals) >= MaxPrincipals {
			f.evict(now)
		}
		a = &principalCounts{kinds: map[kind]*kindCount{}}
		f.principals[principal] = a
	}
	a.seen = now
	return a
}

// evict removes the principal with the fewest failures, and the oldest of several such, and
// adds its counts to Many. It prefers principals without unwritten counts.
func (f *Counter) evict(now time.Time) {
	var least string
	var worst *principalCounts
	for name, a := range f.principals {
		if worst == nil || a.before(worst) {
			least, worst = name, a
		}
	}
	for _, t := range worst.all() {
		if t.counted > 0 {
			rec := t.last
			rec.Principal = Many
			if last := f.many.last.Operation; last != "" && last != rec.Operation {
				rec.Operation = SeveralOperations
			}
			f.many.add(rec, t.counted, now)
		}
	}
	f.remove(least)
}

func (f *Counter) remove(principal string) {
	f.kinds -= len(f.principals[principal].kinds)
	delete(f.principals, principal)
}

// before reports whether a is evicted before b.
func (a *principalCounts) before(b *principalCounts) bool {
	if a.pending() != b.pending() {
		return !a.pending()
	}
	if n := cmp.Compare(a.total, b.total); n != 0 && a.pending() {
		return n < 0
	}
	return a.seen.Before(b.seen)
}

// pending reports whether the principal has counts that are not written yet.
func (a *principalCounts) pending() bool {
	for _, t := range a.kinds {
		if t.counted > 0 {
			return true
		}
	}
	return a.rest.counted > 0
}

func (a *principalCounts) all() []*kindCount {
	all := []*kindCount{&a.rest}
	for _, t := range a.kinds {
		all = append(all, t)
	}
	return all
}

// countOf returns the count of a kind, or a.rest if there are too many kinds.
func (f *Counter) countOf(a *principalCounts, rec audit.Record, now time.Time) *kindCount {
	k := kind{rec.Operation, rec.Error}
	t := a.kinds[k]
	if t == nil {
		if len(a.kinds) >= maxKinds || f.kinds >= maxAllKinds {
			return a.rest.at(now)
		}
		f.kinds++
		t = &kindCount{}
		a.kinds[k] = t
	}
	return t.at(now)
}

// at starts a new window if the last one has ended, and returns t.
func (t *kindCount) at(now time.Time) *kindCount {
	if passed(t.window, Window, now) {
		t.window, t.recorded, t.wait = now, 0, CountAfter
	}
	return t
}

// Due removes and returns the counts that have waited long enough, and forgets the
// principals with no failure in the last window.
func (f *Counter) Due(now time.Time) []audit.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []audit.Record
	for name, a := range f.principals {
		for _, t := range a.all() {
			if t.counted > 0 && passed(t.since, t.wait, now) {
				out = append(out, t.take())
			}
		}
		if !a.pending() && passed(a.seen, Window, now) {
			f.remove(name)
		}
	}
	if f.many.counted > 0 && passed(f.many.since, CountAfter, now) {
		out = append(out, f.many.take())
	}
	return out
}

// All removes and returns every count.
func (f *Counter) All() []audit.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []audit.Record
	for _, a := range f.principals {
		for _, t := range a.all() {
			if t.counted > 0 {
				out = append(out, t.take())
			}
		}
	}
	if f.many.counted > 0 {
		out = append(out, f.many.take())
	}
	return out
}

// take removes the count and returns its record.
func (t *kindCount) take() audit.Record {
	rec := t.last
	if rec.Count = 0; t.counted > 1 { // a record without a count stands for one failure
		rec.Count = t.counted
	}
	t.last, t.counted = audit.Record{}, 0
	t.wait = min(2*t.wait, Window)
	return rec
}
