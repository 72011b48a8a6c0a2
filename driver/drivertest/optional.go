package drivertest

import (
	"bytes"
	"context"
	"slices"

	"strongroom.example/driver"
)

// listed returns what the Lister lists.
func listed(t tb, d driver.Driver) []driver.MaterialID {
	t.Helper()
	lister, ok := d.(driver.Lister)
	if !ok {
		t.Fatalf("Info.Lister is set, but the driver does not implement Lister")
	}
	var ids []driver.MaterialID
	for id, err := range lister.ListKeys(context.Background()) {
		if err != nil {
			t.Fatalf("ListKeys: %v", err)
		}
		ids = append(ids, id)
	}
	return ids
}

// listerNamesKeys checks that each object is listed once. A key in a blob is not in the
// device, and need not be listed.
func listerNamesKeys(t tb, s *subject) {
	if !s.info.Lister {
		return
	}
	var want []driver.MaterialID
	for _, row := range s.generated() {
		if k := s.key(t, row); len(k.created.Blob) == 0 {
			want = append(want, k.id)
		}
	}
	ids := listed(t, s.Driver)
	for _, id := range want {
		n := len(slices.DeleteFunc(slices.Clone(ids), func(other driver.MaterialID) bool { return other != id }))
		if n != 1 {
			t.Errorf("ListKeys listed an object %d times, want once", n)
		}
	}
	for range s.Driver.(driver.Lister).ListKeys(context.Background()) {
		break // an iterator must allow its caller to stop
	}
}

func randomFills(t tb, s *subject) {
	if !s.info.Random {
		return
	}
	random := s.Driver.(driver.Random)
	for _, n := range []int{0, 1, 16, 33, 1000} {
		buffer := bytes.Repeat([]byte{0xA5}, n+64)
		if err := random.Random(context.Background(), buffer[:n:n]); err != nil {
			t.Errorf("Random of %d bytes: %v", n, err)
		}
		if !bytes.Equal(buffer[n:], bytes.Repeat([]byte{0xA5}, 64)) {
			t.Errorf("Random of %d bytes wrote beyond the end", n)
		}
		if n >= 33 && (bytes.Contains(buffer[:n], make([]byte, 16)) || bytes.Contains(buffer[:n], bytes.Repeat([]byte{0xA5}, 16))) {
			t.Errorf("Random of %d bytes did not fill the buffer", n)
		}
	}
	a, b := make([]byte, 32), make([]byte, 32)
	errA, errB := random.Random(context.Background(), a), random.Random(context.Background(), b)
	if errA != nil || errB != nil || bytes.Equal(a, b) {
		t.Errorf("Random returned the same bytes twice (%v, %v)", errA, errB)
	}
}

func counterCounts(t tb, s *subject) {
	if !s.info.Counter {
		return
	}
	ctx := context.Background()
	counter := s.Driver.(driver.Counter)
	name, err := counter.Identity(ctx)
	if err != nil || name == "" {
		t.Errorf("Identity: %q, %v", name, err)
	}
	last, err := counter.Read(ctx)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	for range 3 {
		up, err := counter.Increment(ctx)
		read, errRead := counter.Read(ctx)
		if err != nil || errRead != nil || up != last+1 || read != up {
			t.Errorf("after a count of %d Increment returned %d and Read %d (%v, %v)", last, up, read, err, errRead)
		}
		last = up
	}
	if again, err := counter.Identity(ctx); err != nil || again != name {
		t.Errorf("Identity returned %q and then %q (%v)", name, again, err)
	}
}
