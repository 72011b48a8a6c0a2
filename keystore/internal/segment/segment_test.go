package segment

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"strongroom.example/keystore/internal/fields"
)

// record returns a leaf in the format that the vault writes.
func record(seq int, operation string) []byte {
	return fmt.Appendf(nil, `{"seq":%d,"time":"2026-11-23T16:32:%02d.%09dZ","uptime":%d,"principal":"owner","operation":%q,"key":"%x","phase":"single","result":"ok"}`,
		seq, seq%60, rand.Int64N(1e9), 1e12+rand.Int64N(1e12), operation, bytes.Repeat([]byte{7}, 16))
}

func TestDelta(t *testing.T) {
	long := []byte(strings.Repeat("x,", MaxLeaf/2))
	commas, letters := []byte(strings.Repeat(",", 500)), []byte(strings.Repeat("a,", 250))
	for _, c := range []struct {
		former, leaf []byte
		most         int // bytes of the difference
	}{
		{nil, nil, 1},
		{nil, record(9, "Encrypt"), 210},
		{record(41, "Encrypt"), record(42, "Encrypt"), 48},
		{record(999, "Encrypt"), record(1000, "Decrypt"), 64},
		{record(1, "Sign"), nil, 1},
		{record(1, "Sign"), record(1, "Sign")[:20], 5},
		{nil, long, MaxLeaf + MaxStep},
		{long[:MaxLeaf-2], long, 10},
		{long, long[1:], MaxLeaf + MaxStep},
		{commas, letters, 500 + MaxStep},
		{letters, commas, 500 + MaxStep},
	} {
		d := appendDelta([]byte("in front"), c.former, c.leaf)[len("in front"):]
		if len(d) > c.most || len(d) > len(c.leaf)+MaxStep {
			t.Errorf("%.40q after %.40q: %d bytes, want at most %d", c.leaf, c.former, len(d), c.most)
		}
		for _, limit := range []int{MaxLeaf, len(c.leaf)} {
			r := fields.NewReader(d)
			if got := readDelta(&r, c.former, limit); r.Bad() || len(r.Rest()) > 0 || !bytes.Equal(got, c.leaf) {
				t.Errorf("delta of %.40q after %.40q: read as %.40q, bad %v, %d bytes left", c.leaf, c.former, got, r.Bad(), len(r.Rest()))
			}
		}
		r := fields.NewReader(d)
		if readDelta(&r, c.former, len(c.leaf)-1); !r.Bad() {
			t.Errorf("delta of %.40q: a leaf longer than the limit is read", c.leaf)
		}
		for cut := range min(len(d), 300) {
			r := fields.NewReader(d[:cut])
			if readDelta(&r, c.former, MaxLeaf); !r.Bad() {
				t.Fatalf("delta of %.40q after %.40q: the first %d of %d bytes are read as a leaf", c.leaf, c.former, cut, len(d))
			}
		}
	}
}

// TestSegmentsAreBounded: the size of the leaves limits a segment, not the size of their
// differences.
func TestSegmentsAreBounded(t *testing.T) {
	leaf := bytes.Repeat([]byte("l"), 1000)
	var leaves [][]byte
	for range 100 {
		leaves = append(leaves, leaf)
	}
	segment, n := Append(nil, leaves)
	if n != maxSegment/(perLeaf+len(leaf)) || len(segment) > 2*len(leaf) {
		t.Errorf("Append took %d leaves in %d bytes, want as many as the size of the leaves allows", n, len(segment))
	}
	if got, ok := Parse(segment, uint64(n)); !ok || !bytes.Equal(got[n-1], leaf) {
		t.Error("Parse of Append's bytes failed or returned other leaves")
	}
	for _, n := range []uint64{uint64(n) - 1, uint64(n) + 1, 1 << 40} {
		if _, ok := Parse(segment, n); ok {
			t.Errorf("Parse accepted a segment as one of %d leaves, want false", n)
		}
	}
	more := appendDelta(segment, leaf, leaf)
	if _, ok := Parse(more, uint64(n)+1); ok {
		t.Error("Parse accepted a segment above maxSegment, want false")
	}
}

// TestSegmentsOfTinyLeavesAreBounded: the limit also holds for leaves that are shorter
// than their differences, because the engine accepts no larger value.
func TestSegmentsOfTinyLeavesAreBounded(t *testing.T) {
	var leaves [][]byte
	for i := range 2 * maxSegment {
		leaves = append(leaves, []byte{byte(i)})
	}
	for len(leaves) > 0 {
		segment, n := Append(nil, leaves)
		if len(segment) > maxSegment {
			t.Fatalf("Append of leaves of one byte: %d leaves in %d bytes, want at most maxSegment", n, len(segment))
		}
		if got, ok := Parse(segment, uint64(n)); !ok || !slices.EqualFunc(got, leaves[:n], bytes.Equal) {
			t.Fatal("Parse of Append's bytes failed or returned other leaves")
		}
		leaves = leaves[n:]
	}
}

func FuzzSegment(f *testing.F) {
	one, _ := Append(nil, [][]byte{[]byte("leaf"), nil, []byte("another")})
	f.Add(one, uint64(3))
	f.Add([]byte{}, uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, n uint64) {
		leaves, ok := Parse(b, n)
		if !ok {
			return
		}
		if uint64(len(leaves)) != n {
			t.Fatalf("Parse returned %d leaves, want %d", len(leaves), n)
		}
		for len(leaves) > 0 {
			again, taken := Append(nil, leaves)
			if same, ok := Parse(again, uint64(taken)); !ok || !slices.EqualFunc(same, leaves[:taken], bytes.Equal) {
				t.Fatal("a segment that parses is encoded to different leaves")
			}
			if len(again) > maxSegment && len(leaves[0]) < MaxLeaf-MaxStep {
				t.Fatalf("Append returned %d bytes, want at most maxSegment", len(again))
			}
			leaves = leaves[taken:]
		}
	})
}
