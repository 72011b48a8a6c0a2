package groupwait

import (
	"testing"
	"testing/synctest"
	"time"
)

// waited returns how long a group of one waits after a group of n callers, and whether it
// still waited when the others returned. A poll takes 10 µs of the bubble's time.
func waited(g *Callers, others int, after time.Duration) (time.Duration, bool) {
	begin, n := time.Now(), 1
	polls := time.NewTicker(10 * time.Microsecond)
	defer polls.Stop()
	for g.BeginGroup(); g.WaitForMore(n); {
		<-polls.C
		if time.Since(begin) >= after {
			n = 1 + others
		}
	}
	return time.Since(begin), n == 1+others
}

func TestWait(t *testing.T) { synctest.Test(t, wait) }

func wait(t *testing.T) {
	const long = 5 * time.Second
	if _, all := waited(&Callers{released: 4, at: time.Now(), took: long}, 3, 10*time.Millisecond); !all {
		t.Error("the group stopped waiting before the other callers returned")
	}
	for name, g := range map[string]Callers{
		"the first of all":          {},
		"alone":                     {released: 1, at: time.Now(), took: long},
		"after half a commit":       {released: 4, at: time.Now(), took: 2 * time.Millisecond},
		"back from a slow device":   {released: 4, at: time.Now().Add(-long), took: long},
		"after a commit of no time": {released: 4, at: time.Now()},
		"after very many":           {released: 1 << 20, at: time.Now(), took: long},
	} {
		if took, all := waited(&g, 3, long/10); all || took > long/20 {
			t.Errorf("a group %s: waited %v, want no wait", name, took)
		}
	}
}

// TestSleeps: on a slow disk a group sleeps between polls.
func TestSleeps(t *testing.T) { synctest.Test(t, sleeps) }

func sleeps(t *testing.T) {
	begin, looks := time.Now(), 0
	g := Callers{released: 4, at: begin.Add(-busy), took: 5 * time.Second}
	for g.BeginGroup(); g.WaitForMore(1) && time.Since(begin) < 50*time.Millisecond; {
		looks++
	}
	if looks < 2 || looks > 200 {
		t.Errorf("%d polls in %v, want 2 to 200", looks, time.Since(begin))
	}
}

// TestLearns: a group waits longer for callers that are always a little late, once
// several groups have missed them.
func TestLearns(t *testing.T) { synctest.Test(t, learns) }

func learns(t *testing.T) {
	const took = 200 * time.Millisecond
	g := Callers{released: 4, took: took}
	for n := range mayMiss + 1 {
		g.at = time.Now()
		if _, all := waited(&g, 3, took*3/4); all {
			t.Errorf("group %d waited for callers that return after three quarters of a commit", n)
		}
	}
	g.at = time.Now()
	if _, all := waited(&g, 3, took*3/4); !all {
		t.Error("the group did not wait for callers that the groups before it had missed")
	}
	g.at = time.Now()
	if _, all := waited(&g, 3, took/4); !all || g.missed != 0 {
		t.Error("the group did not wait for callers that returned early")
	}
	g.at = time.Now()
	if _, all := waited(&g, 3, took*3/4); all {
		t.Error("the group still waits longer although no caller is late any more")
	}
}
