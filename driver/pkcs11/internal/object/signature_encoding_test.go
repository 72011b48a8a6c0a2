//go:build cgo && unix

package object

import (
	"bytes"
	"crypto/rand"
	"encoding/asn1"
	"math/big"
	"testing"
)

// TestPairDER compares pairDER with the standard library, for edge cases and random
// values.
func TestPairDER(t *testing.T) {
	for _, half := range []int{32, 48, 66} {
		edges := [][]byte{make([]byte, 2*half), bytes.Repeat([]byte{0xff}, 2*half), bytes.Repeat([]byte{0x7f}, 2*half)}
		for range 1000 {
			pair := make([]byte, 2*half)
			rand.Read(pair)
			clear(pair[:pair[0]%5])
			edges = append(edges, pair)
		}
		for _, pair := range edges {
			r, s := new(big.Int).SetBytes(pair[:half]), new(big.Int).SetBytes(pair[half:])
			want, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
			if err != nil {
				t.Fatal(err)
			}
			if got := pairDER(pair); !bytes.Equal(got, want) {
				t.Fatalf("%x gives %x, want %x", pair, got, want)
			}
		}
	}
}
