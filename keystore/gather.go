package keystore

import (
	"runtime"
	"time"
)

// gather lets a group grow before it is committed. Those whom the last group
// released come back a few tens of microseconds later, each after its own
// cryptography. Whoever comes first would lead alone, and all the others wait for
// that whole sync: one group of one and one of the rest, for ever.
type gather struct {
	released int           // how many callers the last group let go, or kept waiting
	at       time.Time     // when it did
	took     time.Duration // how long its batch took to become durable
	patience time.Duration // how long it pays to wait, if that is longer than half of took
	missed   int           // how many groups in a row did not see all of them back
	gave     bool          // this group has given way once
}

const (
	// perCore is how many callers a core brings back within a sync, roughly.
	perCore = 8
	// mayMiss is how many groups may miss somebody before the next one waits longer.
	mayMiss = 2
	// mayTake is how many times as long as a commit it may pay to wait.
	mayTake = 3
	// busy is how long a group waits by looking again and again. Those who are near come
	// within it; on a slow disk the rest of the wait would cost a whole processor.
	busy = 2 * time.Millisecond
	// nap is how long it sleeps between two looks after that.
	nap = 500 * time.Microsecond
)

// begin begins a group.
func (g *gather) begin() { g.gave = false }

// wait tells whether a group to which n came had better wait for others, and has given
// way to them then. Each group gives way once, since somebody may be about to queue; then it
// does so until as many are there as were last. It gives up once half a commit has
// passed since then: waiting longer costs those who are here more than another sync
// saves. Where groups miss somebody again and again it tries up to three commits, since
// callers who sign come back later than those who encrypt, and all in one group is
// best for them too. Nobody waits after a group of one, so a caller who stays alone
// never does, nor do callers who take much longer to come back than a commit takes,
// as with keys in a TPM or HSM: for them the time is over when the first one comes.
// Nor does a group wait for very many: their cryptography keeps all cores busy for
// longer than a sync takes, so the sync had better run meanwhile.
func (g *gather) wait(n int) bool {
	if g.released > perCore*runtime.GOMAXPROCS(0) {
		return false
	}
	if !g.gave {
		g.gave = true
		runtime.Gosched()
		return true
	}
	if g.released <= 1 {
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
		yield()
	} else {
		time.Sleep(nap)
	}
	return true
}

// miss notes that somebody was not back within limit.
func (g *gather) miss(limit time.Duration) {
	if g.missed++; g.missed > mayMiss {
		g.patience = 2 * limit
	}
}

// release notes that n callers are there: they are let go now, after a commit that
// began at begin, or queued meanwhile.
func (g *gather) release(n int, begin time.Time) {
	g.released, g.at = n, time.Now()
	g.took = g.at.Sub(begin)
}
