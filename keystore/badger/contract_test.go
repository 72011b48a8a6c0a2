package badger

import (
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, dir string) keystore.Engine {
		e, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}
