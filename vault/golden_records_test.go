package vault

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/vault/internal/bindingrecords"
	"strongroom.example/vault/internal/record"
)

// TestGoldenRecords reads stored records that must be readable for ever, and writes them
// again with the same bytes.
func TestGoldenRecords(t *testing.T) {
	for name, again := range map[string]func([]byte) ([]byte, error){
		"binding": again[bindingrecords.Bindings],
		"datakey": again[storedDataKey],
		// Those of one alias are of every version, and those of several of later ones.
		"key":         again[Key],
		"key-aliases": again[Key],
	} {
		want, err := os.ReadFile(filepath.Join("testdata", "records", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := again(want)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: read and written again:\n%s, error %v, want\n%s", name, got, err, want)
		}
	}
}

// again decodes a record and encodes it.
func again[T any](stored []byte) ([]byte, error) {
	r, err := record.Decode[T]("golden", stored)
	return encode(r), err
}
