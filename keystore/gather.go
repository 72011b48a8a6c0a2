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
}

const (
	// perCore is how many callers a core brings back within a sync, roughly.
	perCore = 8
	// mayMiss is how many groups may miss somebody before the next one waits longer.
	mayMiss = 2
)

// wait gives way to other goroutines until as many callers queue as were there
// last. It gives up once half a commit has passed since then: waiting longer costs
// those who are here more than another sync saves. Where groups miss somebody again
// and again it tries up to two commits, since callers who sign come back later than
// those who encrypt, and all in one group is best for them too. A caller alone never
// waits, nor do callers who take much longer to come back than a commit takes, as
// with keys in a TPM or HSM: for them the time is over when the first one comes. Nor
// does a group wait for very many: their cryptography keeps all cores busy for
// longer than a sync takes, so the sync had better run meanwhile.
func (g *gather) wait(queue <-chan *job) {
	if g.released > perCore*runtime.GOMAXPROCS(0) {
		return
	}
	runtime.Gosched() // let those who are about to queue come along
	if g.released <= 1 {
		return
	}
	limit := min(max(g.patience, g.took/2), 2*g.took)
	for len(queue)+1 < g.released {
		if time.Since(g.at) >= limit {
			g.miss(limit)
			return
		}
		runtime.Gosched()
	}
	g.patience, g.missed = time.Since(g.at)*3/2, 0
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
