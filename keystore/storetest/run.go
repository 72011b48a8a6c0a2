package storetest

import (
	"bytes"
	"testing"

	"strongroom.example/keystore"
)

// Opener opens the engine in dir, with the data that an earlier engine left there. It
// fails the test if it cannot.
type Opener func(t *testing.T, dir string) keystore.Engine

// Run tests an engine against the contract of keystore.Engine, with one subtest for each
// rule. Each subtest opens and closes its own engines.
func Run(t *testing.T, open Opener) {
	for _, promise := range []struct {
		name string
		test func(t *testing.T, open Opener)
	}{
		{"get", get},
		{"scan order", scanOrder},
		{"scan after", scanAfter},
		{"expectations", expectations},
		{"atomicity", atomicity},
		{"copies", copies},
		{"largest batch", largestBatch},
		{"trim", trim},
		{"durability", durability},
		{"closed", closed},
		{"cancelled", cancelled},
		{"concurrent readers", concurrentReaders},
		{"concurrent writers", concurrentWriters},
	} {
		t.Run(promise.name, func(t *testing.T) { promise.test(t, open) })
	}
}

// fresh returns an empty engine that is closed at the end of the test.
func fresh(t *testing.T, open Opener) keystore.Engine {
	t.Helper()
	e := open(t, t.TempDir())
	t.Cleanup(func() { must(t, e.Close()) })
	return e
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// puts returns a batch of pairs, given as key, value, key, value.
func puts(keysAndValues ...string) keystore.Batch {
	var b keystore.Batch
	for i := 0; i < len(keysAndValues); i += 2 {
		b.Put = append(b.Put, keystore.Pair{Key: []byte(keysAndValues[i]), Value: []byte(keysAndValues[i+1])})
	}
	return b
}

// holds checks that the engine holds exactly these pairs.
func holds(t *testing.T, e keystore.Engine, keysAndValues ...string) {
	t.Helper()
	want := puts(keysAndValues...).Put
	got, err := e.Scan(t.Context(), nil, nil, len(want)+1)
	must(t, err)
	if len(got) != len(want) {
		t.Fatalf("%d pairs, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i].Key, want[i].Key) || !bytes.Equal(got[i].Value, want[i].Value) {
			t.Fatalf("pair %d is %q: %q, want %q: %q", i, got[i].Key, got[i].Value, want[i].Key, want[i].Value)
		}
	}
}
