package badger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"strongroom.example/keystore"
)

const (
	childStore    = "STRONGROOM_STORE_CHILD"
	killRemaining = 400
)

// destroyUntilKilled is the child: it makes a material, destroys it, and prints its
// number once it is gone.
func destroyUntilKilled(dir string) int {
	s, err := openStore(storeConfig(dir))
	if err != nil {
		fmt.Println("open:", err)
		return 1
	}
	n := s.LogState().Size
	fmt.Println(n - 1) // so many audit records were there
	for ; err == nil; n++ {
		path := duePath(n)
		err = s.Commit(context.Background(), func(tx *keystore.Tx) error {
			tx.PutMaterial(path, []byte("to be destroyed"))
			return nil
		})
		if err != nil {
			break
		}
		err = s.ChangeEpoch(context.Background(), func(tx *keystore.Tx) error {
			tx.Delete(path)
			tx.Log(func(seq uint64) []byte { return fmt.Append(nil, seq) })
			return nil
		})
		if err == nil {
			fmt.Println(n)
		}
	}
	fmt.Println("change:", err)
	return 1
}

func duePath(n uint64) string { return fmt.Sprintf("due/%d", n) }

// A process that is killed while it destroys material leaves a store that opens,
// with every remaining record, and with nothing of what was reported destroyed.
func TestKilledWhileDestroying(t *testing.T) {
	t.Parallel()
	cfg := storeConfig(t.TempDir())
	s := keys(t, cfg, killRemaining, 200)
	must(t, s.Close())
	var destroyed uint64
	for cycle := 0; cycle < 8 || destroyed < 3; cycle++ {
		pause := time.Duration(20+rand.IntN(180)) * time.Millisecond
		destroyed = max(destroyed, child{childStore, cfg.Dir, cycle%3 > 0}.runAndKill(t, pause))
		s, err := openStore(cfg)
		if err != nil {
			t.Fatalf("cycle %d: %v", cycle, err)
		}
		readOnce(t, s, killRemaining)
		for n := range destroyed {
			if _, err := s.Get(t.Context(), duePath(n)); !errors.Is(err, keystore.ErrNotFound) {
				t.Errorf("cycle %d: material %d was reported destroyed: %v", cycle, n, err)
			}
		}
		if s.LogState().Size < destroyed {
			t.Errorf("cycle %d: %d audit records of %d destructions", cycle, s.LogState().Size, destroyed)
		}
		must(t, s.Check(t.Context()))
		must(t, s.Close())
		if _, err := os.Stat(cfg.Dir + "/root.old"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("cycle %d: root.old was left: %v", cycle, err)
		}
	}
	t.Log(destroyed-1, "destructions acknowledged") // the first audit record is that of the creation
}
