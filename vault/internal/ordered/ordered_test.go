package ordered

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
)

// numbers yields 0 to n-1, and then err if it is not nil.
func numbers(n int, err error) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		if err != nil {
			yield(0, err)
		}
	}
}

func TestMapKeepsTheOrder(t *testing.T) {
	for _, callers := range []int{1, 3, 16} {
		var active, most atomic.Int64
		next := 0
		err := Map(t.Context(), callers, numbers(500, nil), func(_ context.Context, i int) (int, error) {
			n := active.Add(1)
			defer active.Add(-1)
			for most.Load() < n && !most.CompareAndSwap(most.Load(), n) {
			}
			for range rand.IntN(20) {
				runtime.Gosched()
			}
			return i * i, nil
		}, func(got int) error {
			if got != next*next {
				t.Fatalf("result %d is %d", next, got)
			}
			next++
			return nil
		})
		if err != nil || next != 500 || int(most.Load()) > callers {
			t.Errorf("%d callers: %d results with %d calls at a time, %v", callers, next, most.Load(), err)
		}
	}
}

// TestMapStops: after an error of any side, exactly the elements before it are in the sink,
// and no call is running.
func TestMapStops(t *testing.T) {
	failed := errors.New("failed")
	for name, row := range map[string]struct {
		source iter.Seq2[int, error]
		work   error // of element 40
		sink   error // of element 40
	}{
		"source": {numbers(40, failed), nil, nil},
		"work":   {numbers(100, nil), failed, nil},
		"sink":   {numbers(100, nil), nil, failed},
	} {
		var active atomic.Int64
		n := 0
		err := Map(t.Context(), 8, row.source, func(ctx context.Context, i int) (int, error) {
			active.Add(1)
			defer active.Add(-1)
			if i == 40 && row.work != nil {
				return 0, row.work
			}
			return i, ctx.Err()
		}, func(i int) error {
			if i == 40 && row.sink != nil {
				return row.sink
			}
			n++
			return nil
		})
		if !errors.Is(err, failed) || n != 40 || active.Load() != 0 {
			t.Errorf("error of the %s: %v, %d results, %d calls running", name, err, n, active.Load())
		}
	}
}

func TestMapEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := Map(ctx, 2, numbers(1000, nil), func(ctx context.Context, i int) (int, error) {
		if i == 10 {
			cancel()
		}
		return i, ctx.Err()
	}, func(int) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}

// TestBehind: a run continues behind its position, and only with the source that it had.
func TestBehind(t *testing.T) {
	other, broken := errors.New("other source"), errors.New("broken source")
	mark := func(s string) (m Mark) { copy(m[:], s); return m }
	source := func(yield func(string, error) bool) {
		for _, s := range []string{"a", "b", "c"} {
			if !yield(s, nil) {
				return
			}
		}
		yield("", broken)
	}
	for _, c := range []struct {
		done uint64
		last string
		want string
		err  error
	}{
		{0, "", "abc", broken},
		{2, "b", "c", broken},
		{3, "c", "", broken},
		{2, "a", "", other},
		{5, "e", "", broken}, // the source's own error is first
	} {
		at, ok := ParsePosition(Position{c.done, mark(c.last)}.Encode())
		if !ok {
			t.Fatalf("the position %d %q is not read again", c.done, c.last)
		}
		got, last := "", error(nil)
		for s, err := range Behind(at, source, mark, other) {
			got, last = got+s, err
		}
		if got != c.want || last != c.err {
			t.Errorf("behind %d %q: %q, %v; want %q, %v", c.done, c.last, got, last, c.want, c.err)
		}
	}
	short := func(yield func(string, error) bool) { yield("a", nil) }
	for s, err := range Behind(Position{2, mark("b")}, short, mark, other) {
		if s != "" || err != other {
			t.Errorf("behind the end of a source: %q, %v", s, err)
		}
	}
	if _, ok := ParsePosition(make([]byte, 23)); ok {
		t.Error("a position of 23 bytes is read")
	}
}
