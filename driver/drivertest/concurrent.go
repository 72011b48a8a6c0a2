package drivertest

import (
	"context"
	"sync"

	"strongroom.example/driver"
)

const callers = 16

// concurrent uses every key from many goroutines through one handle. At the same time
// they generate, open and destroy keys of their own.
func concurrent(t tb, s *subject) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, row := range s.samples() {
		k := makeKey(t, s.Driver, row)
		shared := opening{k, openKey[driver.Key](t, s.Driver, k)}
		var users sync.WaitGroup
		for caller := range callers {
			users.Go(func() {
				for range 4 {
					if err := use(context.Background(), k, shared.opened); err != nil {
						t.Errorf("%v: caller %d: %v", row.Spec, caller, err)
					}
				}
			})
		}
		if modulusBits(row.Spec.Algorithm) == 0 {
			for range callers {
				all.Go(func() { lifecycle(t, s, k) })
			}
		}
		users.Wait()
		closeKey(t, shared.opened)
		s.discard(t, k)
	}
}

// lifecycle generates, uses and destroys a key of the same spec as like. It runs outside
// the test's goroutine, and therefore must not end the test.
func lifecycle(t tb, s *subject, like key) {
	ctx := context.Background()
	k := key{id: freshID(), row: like.row}
	var err error
	if k.created, err = s.GenerateKey(ctx, k.id, k.row.Spec); err != nil {
		t.Errorf("%v: concurrent GenerateKey: %v", k.row.Spec, err)
		return
	}
	works(t, s.Driver, k, "generated concurrently")
	s.discard(t, k)
}
