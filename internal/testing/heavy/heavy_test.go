package heavy_test

import (
	"runtime"
	"testing"

	"strongroom.example/internal/testing/heavy"
)

const variable = "STRONGROOM_HEAVY_TEST"

// A failure is a testing.TB that remembers whether it failed.
type failure struct {
	testing.TB
	failed bool
}

func (*failure) Helper() {}

func (f *failure) Fatalf(string, ...any) {
	f.failed = true
	runtime.Goexit()
}

// fails reports whether call ends its test.
func fails(t *testing.T, call func(testing.TB)) bool {
	f := &failure{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		call(f)
	}()
	<-done
	return f.failed
}

func TestCount(t *testing.T) {
	for text, want := range map[string]int{"": 10, "1": 1, "1000": 1000} {
		t.Setenv(variable, text)
		if n := heavy.Count(t, variable, 10); n != want {
			t.Errorf("%q: %d, want %d", text, n, want)
		}
	}
	for _, text := range []string{"0", "-1", "many", "1e3"} {
		t.Setenv(variable, text)
		if !fails(t, func(tb testing.TB) { heavy.Count(tb, variable, 10) }) {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestAll(t *testing.T) {
	for text, want := range map[string]bool{"": false, "all": true} {
		t.Setenv(variable, text)
		if all := heavy.All(t, variable); all != want {
			t.Errorf("%q: %v, want %v", text, all, want)
		}
	}
	t.Setenv(variable, "1")
	if !fails(t, func(tb testing.TB) { heavy.All(tb, variable) }) {
		t.Error("1 was accepted")
	}
}
