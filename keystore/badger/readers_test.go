package badger

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"strongroom.example/keystore"
)

// A reader never sees an older state than it saw before, and a scan sees whole batches, while each
// third batch sends the overlay off to Badger.
func TestReadersNeverGoBack(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir())
	const keys = 5
	var fill [keys]string
	for i := range fill {
		fill[i] = strings.Repeat(fmt.Sprint(i), 16<<10)
	}
	write := func(i, n int) {
		b := keystore.Batch{}
		for _, side := range "lr" {
			b.Put = append(b.Put, put(fmt.Sprintf("%d%c", i, side), fmt.Sprintf("%06d%s", n, fill[i])).Put...)
		}
		must(t, e.Commit(t.Context(), b))
	}
	for i := range keys {
		write(i, 0)
	}
	var readers sync.WaitGroup
	stop := make(chan bool)
	read := func(last map[string]string) error {
		pairs, err := e.Scan(t.Context(), fmt.Append(nil, rand.IntN(keys)), nil, 9)
		if err != nil || len(pairs) != 2 || !bytes.Equal(pairs[0].Value, pairs[1].Value) {
			return fmt.Errorf("a scan of %d pairs, %v", len(pairs), err)
		}
		key := pairs[rand.IntN(2)].Key
		value, err := e.Get(t.Context(), key)
		if err != nil || string(value) < string(pairs[0].Value) || string(value) < last[string(key)] {
			return fmt.Errorf("%s went back: %.6s, %v", key, value, err)
		}
		last[string(key)] = string(value)
		return nil
	}
	for range 3 {
		readers.Go(func() {
			for last := map[string]string{}; ; {
				select {
				case <-stop:
					return
				default:
				}
				if err := read(last); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 150 {
		write(rand.IntN(keys), n+1)
	}
	close(stop)
	readers.Wait()
}
