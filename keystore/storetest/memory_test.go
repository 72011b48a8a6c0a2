package storetest_test

import (
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

func TestMemory(t *testing.T) {
	engines := map[string]*storetest.Memory{}
	storetest.Run(t, func(t *testing.T, dir string) keystore.Engine {
		if engines[dir] == nil {
			engines[dir] = storetest.NewMemory()
		}
		e, err := engines[dir].Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}
