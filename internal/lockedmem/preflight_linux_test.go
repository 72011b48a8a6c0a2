package lockedmem

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCloseUnlocksPages(t *testing.T) {
	before := mustLocked(t)
	a := New(0)
	var all []*Buffer
	for range 10 {
		b, err := a.Alloc(8192)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	if got := mustLocked(t); got != before+uint64(a.LockedBytes()) {
		t.Errorf("VmLck %d, before %d, arena %d", got, before, a.LockedBytes())
	}
	for _, b := range all {
		b.Free()
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got := mustLocked(t); got != before {
		t.Errorf("VmLck %d after Close, %d before", got, before)
	}
}

// TestReserve fills an arena under limits down to 64 KiB and measures how much stays
// lockable.
func TestReserve(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &old); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_MEMLOCK, &old)
	for _, limit := range []uint64{64 << 10, 512 << 10} {
		if old.Max < limit {
			t.Fatalf("the hard limit %d is below %d", old.Max, limit)
		}
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: limit, Max: old.Max}); err != nil {
			t.Fatal(err)
		}
		a := New(0)
		var all []*Buffer
		var err error
		for err == nil {
			var b *Buffer
			if b, err = a.Alloc(4096); err == nil {
				all = append(all, b)
			}
		}
		left := limit - mustLocked(t)
		if !errors.Is(err, ErrExhausted) || left < Operations.reserve(limit) || left > Operations.reserve(limit)+16<<10 || len(all) == 0 {
			t.Errorf("limit %d: %d buffers, %d left, %v", limit, len(all), left, err)
		}
		for _, b := range all {
			b.Free()
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestProbe(t *testing.T) {
	before := mustLocked(t)
	if err := probe(4096, Operations); err != nil {
		t.Error(err)
	}
	if got := mustLocked(t); got != before {
		t.Errorf("probe leaves %d bytes locked, %d before", got, before)
	}
}

func mustLocked(t *testing.T) uint64 {
	t.Helper()
	n, err := processLocked()
	if err != nil {
		t.Fatal(err)
	}
	return n
}
