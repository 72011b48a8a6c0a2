package vault

import (
	"cmp"
	"sync"
	"time"

	"strongroom.example/audit"
)

// Every call that fails is on record. A caller who fails again and again must not fill
// the disk, so that only the first failures of a kind have records of their own; the rest
// are counted in memory and written as one record with a count.
const (
	// failuresEach is how many failures of one kind (principal, operation, class of error)
	// have a record of their own in a window.
	failuresEach  = 16
	failureWindow = time.Minute
	// failureRecords is how many failures of all principals together have a record of
	// their own in a window. It bounds what invented names can write.
	failureRecords = 4096
	// failureKinds is how many kinds are told apart for one principal, and allFailureKinds
	// for all. Others share a count under their principal's name.
	failureKinds    = 512
	allFailureKinds = 8192
	// failureNames is how many principals are told apart. When there are more, the counts
	// of the one with the fewest failures go to byMany, so that the newest one has a name.
	failureNames = 1024
	// countAfter is how long the first count waits before it is written. It doubles with
	// each one that follows in the same window, up to the window. This is how much of a
	// count a kill of the process can lose.
	countAfter = 2 * time.Second
)

const (
	// byMany is the principal on record of failures that are counted for several.
	byMany Principal = "(many)"
	// byUnnamed is the principal on record for a name that is none (see Principal).
	byUnnamed Principal = "(unnamed)"
	// severalOperations stands on record for counts of kinds that are not told apart.
	severalOperations = "(several)"
)

// A failureKind is what failures are counted by, for one principal.
type failureKind struct {
	op    string
	class string
}

// tally counts the failures of one kind.
type tally struct {
	window   time.Time // when its window began
	recorded int       // in this window
	counted  uint64    // not yet written
	since    time.Time // when the first of them was counted
	wait     time.Duration
	last     audit.Record
}

// account is what one principal failed at.
type account struct {
	kinds map[failureKind]*tally
	rest  tally // of kinds that are not told apart
	seen  time.Time
	total uint64 // failures since it was opened
}

// failureCounts knows the failures of the last minute.
type failureCounts struct {
	mu       sync.Mutex
	accounts map[string]*account
	kinds    int // of all accounts
	many     tally
	window   time.Time
	recorded int // in this window, of all
}

func newFailureCounts() *failureCounts { return &failureCounts{accounts: map[string]*account{}} }

// admit reports whether the failure may have a record of its own. If not, the caller
// counts it.
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

// account returns the account of a principal. Where there is no room for another one it
// closes the one that matters least.
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

// evict closes the account with the fewest failures, the oldest of several, and counts
// what it has for byMany. One of which all is written goes first.
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

// before reports whether a is closed before b is.
func (a *account) before(b *account) bool {
	if a.pending() != b.pending() {
		return !a.pending()
	}
	if n := cmp.Compare(a.total, b.total); n != 0 && a.pending() {
		return n < 0
	}
	return a.seen.Before(b.seen)
}

// pending reports whether the account has counts that are not written.
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

// tally returns the tally of a kind, or the rest's where there are too many kinds.
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

// at begins another window of the tally where the last one is over.
func (t *tally) at(now time.Time) *tally {
	if now.Sub(t.window) >= failureWindow {
		t.window, t.recorded, t.wait = now, 0, countAfter
	}
	return t
}

// due takes the counts that have waited long enough, and forgets who did not fail lately.
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

// all takes every count.
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

// take returns the record of what was counted.
func (t *tally) take() audit.Record {
	rec := t.last
	if rec.Count = 0; t.counted > 1 { // no count stands for one
		rec.Count = t.counted
	}
	t.last, t.counted = audit.Record{}, 0
	t.wait = min(2*t.wait, failureWindow)
	return rec
}
