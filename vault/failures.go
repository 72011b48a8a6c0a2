package vault

import (
	"cmp"
	"sync"
	"time"

	"strongroom.example/audit"
)

// Every failed call is recorded. A caller who fails repeatedly must not fill the disk. Only
// the first failures of a kind have records of their own, therefore; the others are counted
// in memory and written as one record with a count.
const (
	// failuresEach is how many failures of one kind (principal, operation, class of error)
	// get a record of their own in one window.
	failuresEach  = 16
	failureWindow = time.Minute
	// failureRecords is how many failures of all principals together get a record of their
	// own in one window. It bounds what a caller can write by inventing names.
	failureRecords = 4096
	// failureKinds is how many kinds are counted separately for one principal, and
	// allFailureKinds for all principals. Further kinds share one count under their
	// principal's name.
	failureKinds    = 512
	allFailureKinds = 8192
	// failureNames is how many principals are counted separately. If there are more, the
	// counts of the principal with the fewest failures are moved to byMany, so that the
	// newest principal has its own count.
	failureNames = 1024
	// countAfter is the delay before the first count is written. The delay doubles with each
	// further count in the same window, up to the length of the window. Killing the process
	// loses at most the counts of this delay.
	countAfter = 2 * time.Second
)

const (
	// byMany is the recorded principal of failures that are counted for several principals.
	byMany Principal = "(many)"
	// byUnnamed is the recorded principal of calls whose principal is not valid (see
	// Principal).
	byUnnamed Principal = "(unnamed)"
	// severalOperations is the recorded operation of a count that covers several kinds.
	severalOperations = "(several)"
)

// A failureKind identifies the failures that one principal's count covers.
type failureKind struct {
	op    string
	class string
}

// tally counts the failures of one kind.
type tally struct {
	window   time.Time // start of its window
	recorded int       // records written in this window
	counted  uint64    // failures not written yet
	since    time.Time // time of the first of them
	wait     time.Duration
	last     audit.Record
}

// account holds the counts of one principal.
type account struct {
	kinds map[failureKind]*tally
	rest  tally // failures beyond the limits of kinds
	seen  time.Time
	total uint64 // failures since the account was created
}

// failureCounts counts the failures of the last window.
type failureCounts struct {
	mu       sync.Mutex
	accounts map[string]*account
	kinds    int // in all accounts
	many     tally
	window   time.Time
	recorded int // records written in this window, of all principals
}

func newFailureCounts() *failureCounts { return &failureCounts{accounts: map[string]*account{}} }

// admit reports whether the failure may have a record of its own. If not, the caller counts
// it.
func (f *failureCounts) admit(rec audit.Record, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.account(rec.Principal, now)
	if now.Sub(f.window) >= failureWindow {
		f.window, f.recorded = now, 0
	}
	t := f.tally(a, rec, now)
	if t == &a.rest || t.recorded >= failuresEach || f.recorded >= failureRecords {
		return false
	}
	a.total++
	t.recorded++
	f.recorded++
	return true
}

// count counts n failures that have no record of their own.
func (f *failureCounts) count(rec audit.Record, n uint64, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.account(rec.Principal, now)
	a.total += n
	t := f.tally(a, rec, now)
	if t == &a.rest && (t.last.Operation != "" && t.last.Operation != rec.Operation || t.last.Error != rec.Error) {
		rec.Operation = severalOperations
	}
	t.add(rec, n, now)
}

func (t *tally) add(rec audit.Record, n uint64, now time.Time) {
	if t.counted == 0 {
		t.since = now
	}
	t.counted += n
	t.last = rec
}

// account returns the account of a principal. If there are too many accounts it first
// evicts one.
func (f *failureCounts) account(principal string, now time.Time) *account {
	a := f.accounts[principal]
	if a == nil {
		if len(f.accounts) >= failureNames {
			f.evict(now)
		}
		a = &account{kinds: map[failureKind]*tally{}}
		f.accounts[principal] = a
	}
	a.seen = now
	return a
}

// evict removes the account with the fewest failures, and the oldest of several such, and
// adds its counts to byMany. It prefers accounts without unwritten counts.
func (f *failureCounts) evict(now time.Time) {
	var least string
	var worst *account
	for name, a := range f.accounts {
		if worst == nil || a.before(worst) {
			least, worst = name, a
		}
	}
	for _, t := range worst.tallies() {
		if t.counted > 0 {
			rec := t.last
			rec.Principal = string(byMany)
			if last := f.many.last.Operation; last != "" && last != rec.Operation {
				rec.Operation = severalOperations
			}
			f.many.add(rec, t.counted, now)
		}
	}
	f.forget(least)
}

func (f *failureCounts) forget(principal string) {
	f.kinds -= len(f.accounts[principal].kinds)
	delete(f.accounts, principal)
}

// before reports whether a is evicted before b.
func (a *account) before(b *account) bool {
	if a.pending() != b.pending() {
		return !a.pending()
	}
	if n := cmp.Compare(a.total, b.total); n != 0 && a.pending() {
		return n < 0
	}
	return a.seen.Before(b.seen)
}

// pending reports whether the account has counts that are not written yet.
func (a *account) pending() bool {
	for _, t := range a.kinds {
		if t.counted > 0 {
			return true
		}
	}
	return a.rest.counted > 0
}

func (a *account) tallies() []*tally {
	all := []*tally{&a.rest}
	for _, t := range a.kinds {
		all = append(all, t)
	}
	return all
}

// tally returns the tally of a kind, or a.rest if there are too many kinds.
func (f *failureCounts) tally(a *account, rec audit.Record, now time.Time) *tally {
	kind := failureKind{rec.Operation, rec.Error}
	t := a.kinds[kind]
	if t == nil {
		if len(a.kinds) >= failureKinds || f.kinds >= allFailureKinds {
			return a.rest.at(now)
		}
		f.kinds++
		t = &tally{}
		a.kinds[kind] = t
	}
	return t.at(now)
}

// at starts a new window if the last one has ended, and returns t.
func (t *tally) at(now time.Time) *tally {
	if now.Sub(t.window) >= failureWindow {
		t.window, t.recorded, t.wait = now, 0, countAfter
	}
	return t
}

// due removes and returns the counts that have waited long enough, and removes the accounts
// of principals with no failure in the last window.
func (f *failureCounts) due(now time.Time) []audit.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []audit.Record
	for name, a := range f.accounts {
		for _, t := range a.tallies() {
			if t.counted > 0 && now.Sub(t.since) >= t.wait {
				out = append(out, t.take())
			}
		}
		if !a.pending() && now.Sub(a.seen) >= failureWindow {
			f.forget(name)
		}
	}
	if f.many.counted > 0 && now.Sub(f.many.since) >= countAfter {
		out = append(out, f.many.take())
	}
	return out
}

// all removes and returns every count.
func (f *failureCounts) all() []audit.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []audit.Record
	for _, a := range f.accounts {
		for _, t := range a.tallies() {
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
func (t *tally) take() audit.Record {
	rec := t.last
	if rec.Count = 0; t.counted > 1 { // a record without a count stands for one failure
		rec.Count = t.counted
	}
	t.last, t.counted = audit.Record{}, 0
	t.wait = min(2*t.wait, failureWindow)
	return rec
}
