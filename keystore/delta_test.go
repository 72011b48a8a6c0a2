package keystore

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// record returns a leaf in the format that the vault writes.
func record(seq int, operation string) []byte {
	return fmt.Appendf(nil, `{"seq":%d,"time":"2026-11-23T16:32:%02d.%09dZ","uptime":%d,"principal":"owner","operation":%q,"key":"%x","phase":"single","result":"ok"}`,
		seq, seq%60, rand.Int64N(1e9), 1e12+rand.Int64N(1e12), operation, bytes.Repeat([]byte{7}, 16))
}

func TestDelta(t *testing.T) {
	long := []byte(strings.Repeat("x,", MaxValue/2))
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
		{nil, long, MaxValue + maxStep},
		{long[:MaxValue-2], long, 10},
		{long, long[1:], MaxValue + maxStep},
		{commas, letters, 500 + maxStep},
		{letters, commas, 500 + maxStep},
	} {
		d := appendDelta([]byte("in front"), c.former, c.leaf)[len("in front"):]
		if len(d) > c.most || len(d) > len(c.leaf)+maxStep {
			t.Errorf("%.40q after %.40q: %d bytes, want at most %d", c.leaf, c.former, len(d), c.most)
		}
		for _, limit := range []int{MaxValue, len(c.leaf)} {
			r := reader{b: d}
			if got := r.delta(c.former, limit); r.bad || len(r.b) > 0 || !bytes.Equal(got, c.leaf) {
				t.Errorf("delta of %.40q after %.40q: read as %.40q, bad %v, %d bytes left", c.leaf, c.former, got, r.bad, len(r.b))
			}
		}
		r := reader{b: d}
		if r.delta(c.former, len(c.leaf)-1); !r.bad {
			t.Errorf("delta of %.40q: a leaf longer than the limit is read", c.leaf)
		}
		for cut := range min(len(d), 300) {
			r := reader{b: d[:cut]}
			if r.delta(c.former, MaxValue); !r.bad {
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
	segment, n := appendSegment(nil, leaves)
	if n != maxSegment/(perLeaf+len(leaf)) || len(segment) > 2*len(leaf) {
		t.Errorf("appendSegment took %d leaves in %d bytes, want as many as the size of the leaves allows", n, len(segment))
	}
	if got, ok := parseSegment(segment, uint64(n)); !ok || !bytes.Equal(got[n-1], leaf) {
		t.Error("parseSegment of appendSegment's bytes failed or returned other leaves")
	}
	for _, n := range []uint64{uint64(n) - 1, uint64(n) + 1, 1 << 40} {
		if _, ok := parseSegment(segment, n); ok {
			t.Errorf("parseSegment accepted a segment as one of %d leaves, want false", n)
		}
	}
	more := appendDelta(segment, leaf, leaf)
	if _, ok := parseSegment(more, uint64(n)+1); ok {
		t.Error("parseSegment accepted a segment above maxSegment, want false")
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
		segment, n := appendSegment(nil, leaves)
		if len(segment) > maxSegment {
			t.Fatalf("appendSegment of leaves of one byte: %d leaves in %d bytes, want at most maxSegment", n, len(segment))
		}
		if got, ok := parseSegment(segment, uint64(n)); !ok || !slices.EqualFunc(got, leaves[:n], bytes.Equal) {
			t.Fatal("parseSegment of appendSegment's bytes failed or returned other leaves")
		}
		leaves = leaves[n:]
	}
}
