package badger

import (
	"maps"
	"testing"
)

// Readers see each value through all of its way: laid over Badger, leaving for it
// with newer ones above, and in it.
func TestReadersWhileBatchesLeave(t *testing.T) {
	e := open(t, t.TempDir()).(*engine)
	commit := func(key, value string) { must(t, e.Commit(t.Context(), put(key, value))) }
	expect := func(want model) {
		t.Helper()
		if got := holding(t, e); !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		for key, value := range want {
			if got, err := e.Get(t.Context(), []byte(key)); err != nil || string(got) != value {
				t.Errorf("%s: %q, %v, want %q", key, got, err, value)
			}
		}
	}
	commit("a", "1")
	commit("b", "1")
	must(t, e.handAll(e.log.last))
	commit("b", "2")
	commit("c", "2")
	last := e.log.last
	e.over.leave()
	expect(model{"a": "1", "b": "2", "c": "2"})
	commit("c", "3")
	commit("d", "3")
	expect(model{"a": "1", "b": "2", "c": "3", "d": "3"})
	must(t, e.drain(last))
	expect(model{"a": "1", "b": "2", "c": "3", "d": "3"})
	must(t, e.handOver())
	expect(model{"a": "1", "b": "2", "c": "3", "d": "3"})
	must(t, e.handed())
	expect(model{"a": "1", "b": "2", "c": "3", "d": "3"})
}
