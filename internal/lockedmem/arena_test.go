package lockedmem_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/testing/redacttest"
)

func TestAllocFree(t *testing.T) {
	a := lockedmem.New(0)
	for _, n := range []int{1, 63, 64, 65, 128, 4096, 4097, 65536} {
		b, err := a.Alloc(n)
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Bytes()) != n || cap(b.Bytes()) != n || len(bytes.Trim(b.Bytes(), "\x00")) != 0 {
			t.Errorf("%d: %d bytes, or not zero", n, len(b.Bytes()))
		}
		copy(b.Bytes(), bytes.Repeat([]byte{0xEE}, n))
		b.Free()
		b.Free()
		if b.Bytes() != nil {
			t.Error("Bytes after Free is not nil")
		}
		again, err := a.Alloc(n)
		if err != nil || len(bytes.Trim(again.Bytes(), "\x00")) != 0 {
			t.Errorf("%d: reused memory is not wiped, %v", n, err)
		}
		again.Free()
	}
	for _, n := range []int{-1, 0, 65537} {
		if _, err := a.Alloc(n); !errors.Is(err, lockedmem.ErrSize) {
			t.Errorf("%d: %v", n, err)
		}
	}
	closeArena(t, a)
	if _, err := a.Alloc(1); !errors.Is(err, lockedmem.ErrClosed) {
		t.Errorf("Alloc after Close: %v", err)
	}
}

func closeArena(t *testing.T, a *lockedmem.Arena) {
	t.Helper()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if a.LockedBytes() != 0 || a.InUse() != 0 {
		t.Errorf("%d bytes, %d buffers left", a.LockedBytes(), a.InUse())
	}
}

func TestExhaustedByMaxBytes(t *testing.T) {
	page := os.Getpagesize()
	a := lockedmem.New(2 * page)
	var all []*lockedmem.Buffer
	var err error
	for err == nil {
		var b *lockedmem.Buffer
		if b, err = a.Alloc(64); err == nil {
			all = append(all, b)
		}
	}
	if !errors.Is(err, lockedmem.ErrExhausted) || len(all) != 2*page/64 || a.LockedBytes() != 2*page {
		t.Errorf("%d buffers, %d bytes, %v", len(all), a.LockedBytes(), err)
	}
	if err := a.Close(); err == nil || !strings.Contains(err.Error(), fmt.Sprint(len(all))) {
		t.Errorf("Close with buffers in use: %v", err)
	}
	all[0].Free()
	if all[0], err = a.Alloc(64); err != nil {
		t.Errorf("after Free: %v", err)
	}
	for _, b := range all {
		b.Free()
	}
	closeArena(t, a)
}

// TestFreedMemoryServesEverySize checks that memory freed in one size is available for
// every other size.
func TestFreedMemoryServesEverySize(t *testing.T) {
	const limit = 64 << 10
	a := lockedmem.New(limit)
	for _, n := range []int{32, 4096, 65536, 100, 5000, 64} {
		var all []*lockedmem.Buffer
		for {
			b, err := a.Alloc(n)
			if errors.Is(err, lockedmem.ErrExhausted) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b)
		}
		if len(all) < limit/n/2 || a.LockedBytes() > limit {
			t.Errorf("%d buffers of %d bytes in %d locked bytes", len(all), n, a.LockedBytes())
		}
		for _, b := range all {
			b.Free()
		}
	}
	kept, err := a.Alloc(64)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Alloc(limit); !errors.Is(err, lockedmem.ErrExhausted) {
		t.Errorf("Alloc while all memory is in use: %v, want ErrExhausted", err)
	}
	kept.Free()
	closeArena(t, a)
}

func TestConcurrent(t *testing.T) {
	a := lockedmem.New(0)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				b, err := a.Alloc(1 + (i*37+g)%500)
				if err != nil {
					t.Error(err)
					return
				}
				for j := range b.Bytes() {
					b.Bytes()[j] = byte(g)
				}
				for _, c := range b.Bytes() {
					if c != byte(g) {
						t.Error("two buffers share memory")
						break
					}
				}
				b.Free()
			}
		})
	}
	wg.Wait()
	closeArena(t, a)
}

func TestNothingPrintsABuffer(t *testing.T) {
	a := lockedmem.New(0)
	b, err := a.Alloc(32)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("hunter2hunter2hunter2hunter2hunt")
	copy(b.Bytes(), secret)
	redacttest.Silent(t, b, secret)
	redacttest.Silent(t, a, secret)
	b.Free()
	closeArena(t, a)
}
