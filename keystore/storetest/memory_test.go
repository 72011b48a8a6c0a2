package storetest_test

import (
	"testing"

	"strongroom.example/keystore/storetest"
)

func TestMemory(t *testing.T) { storetest.Run(t, withFault(broken{})) }
