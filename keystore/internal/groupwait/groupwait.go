// Package groupwait decides how long a group of commits waits for the callers of the last one.
package groupwait

import (
	"runtime"
	"time"

	"strongroom.example/keystore/internal/osfile"
)

// Callers decides how long a group waits for further callers before it is committed. The
// callers of the last group return a few tens of microseconds after it, each after its
// own cryptography. If the first of them committed at once, the others would wait for
// that whole sync, and groups of one and groups of the rest would alternate for ever.
type Callers struct {
	released int           // how many callers the last group served, or left in the queue
	at       time.Time     // when the last group ended
	took     time.Duration // how long its batch took to become durable
	patience time.Duration // how long to wait, if that is longer than half of took
	missed   int           // how many groups in a row committed before all callers were back
	gave     bool          // this group has yielded once
}

const (
	// perCore is roughly how many callers one core can bring back within a sync.
	perCore = 8
	// mayMiss is how many groups in a row may miss a caller before the next group waits
	// longer.
	mayMiss = 2
	// mayTake is the longest wait, as a multiple of the time of a commit.
	mayTake = 3
	// busy is how long a group polls for callers without sleeping. Callers that are close
	// arrive within this time; polling through the rest of the wait on a slow disk would
	// occupy a whole processor.
	busy = 2 * time.Millisecond
	// nap is the sleep between two polls after that.
	nap = 500 * time.Microsecond
)

// BeginGroup starts a new group.
func (g *Callers) BeginGroup() { g.gave = false }

// WaitForMore reports whether a group with n callers should wait for more. If so it has already
// yielded the processor or slept briefly.
//
// The rules, in order:
//   - After a group of more callers than the cores can bring back within a sync, WaitForMore
//     returns false: their cryptography keeps all cores busy for longer than a sync
//     takes, so the sync should run in parallel.
//   - Each group yields once, because another goroutine may be about to queue.
//   - After a group of one caller, WaitForMore returns false: a caller that stays alone never
//     waits.
//   - The group waits until it has as many callers as the last one.
//   - It stops waiting when half the time of a commit has passed since the last group
//     ended, because a longer wait costs the present callers more than another sync
//     saves. Callers that take much longer than a commit to return, as with keys in a
//     TPM or HSM, therefore never wait.
//   - If groups miss callers repeatedly, the limit grows up to three commits: callers
//     that sign return later than callers that encrypt, and one group with all of them
//     is best for both.
func (g *Callers) WaitForMore(n int) bool {
	if g.released > perCore*runtime.GOMAXPROCS(0) {
		return false
	}
	if !g.gave {
		g.gave = true
		runtime.Gosched()
		return true
	}
	if g.WasAlone() {
		return false
	}
	if n >= g.released {
		g.patience, g.missed = time.Since(g.at)*3/2, 0
		return false
	}
	if limit := min(max(g.patience, g.took/2), mayTake*g.took); time.Since(g.at) >= limit {
		g.miss(limit)
		return false
	}
	if time.Since(g.at) < busy {
		osfile.Yield()
	} else {
		time.Sleep(nap)
	}
	return true
}

// WasAlone reports whether the last group had at most one caller.
func (g *Callers) WasAlone() bool { return g.released <= 1 }

// miss records that a caller did not return within limit.
func (g *Callers) miss(limit time.Duration) {
	if g.missed++; g.missed > mayMiss {
		g.patience = 2 * limit
	}
}

// EndGroup records that n callers are active: those that the commit that began at begin
// has served, and those that queued during it.
func (g *Callers) EndGroup(n int, begin time.Time) {
	g.released, g.at = n, time.Now()
	g.took = g.at.Sub(begin)
}
