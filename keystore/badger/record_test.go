package badger

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"strongroom.example/keystore"
)

func sample() (position, keystore.Batch) {
	b := keystore.Batch{Delete: [][]byte{[]byte("gone"), []byte("too")}}
	for i := range 3 {
		b.Put = append(b.Put, put(fmt.Sprint("key ", i), fmt.Sprint("value ", i)).Put...)
	}
	return position{7, 9}, b
}

// recordWithMAC is a whole record of a log whose last MAC is zero.
func recordWithMAC(at position, b keystore.Batch) []byte {
	record := appendRecord(nil, at, b)
	sum := unkeyed(labelRecord, make([]byte, macSize), record)
	return append(record, sum[:]...)
}

func TestRecordRoundTrip(t *testing.T) {
	t.Parallel()
	at, b := sample()
	record := recordWithMAC(at, b)
	if got := cutRecord(unkeyed, [macSize]byte{}, append(bytes.Clone(record), "rest"...)); !bytes.Equal(got, record) {
		t.Fatalf("cutRecord returned %d bytes, want %d", len(got), len(record))
	}
	gotAt, got, ok := parseRecord(record)
	if !ok || gotAt != at || !reflect.DeepEqual(got, b) {
		t.Errorf("parseRecord: %v, %v, %v; want %v, %v", gotAt, got, ok, at, b)
	}
}

// The bytes are a format: they do not change.
func TestRecordBytes(t *testing.T) {
	t.Parallel()
	b := keystore.Batch{Put: []keystore.Pair{{Key: []byte("k"), Value: []byte("v")}}, Delete: [][]byte{[]byte("d")}}
	want := "00000047" + "0000000000000001" + "0000000000000002" + "00000001" + "00000001" +
		"0001" + "00000001" + "6b" + "76" + "0001" + "64"
	if got := fmt.Sprintf("%x", appendRecord(nil, position{1, 2}, b)); got != want {
		t.Errorf("appendRecord: %s, want %s", got, want)
	}
	head, _ := segmentHead{epoch: 1, before: position{2, 3}}.encode(unkeyed)
	want = "53524c02" + "0000000000000001" + "0000000000000002" + "0000000000000003"
	if got := fmt.Sprintf("%x", head[:28]); got != want || len(head) != segmentHeader {
		t.Errorf("segmentHead: %s of %d bytes, want %s of %d", got, len(head), want, segmentHeader)
	}
	want = "53524501" + "0000000000000001" + "01" + "0000000000000002" + "0000000000000003"
	state := epochState{serial: 1, closed: true, epoch: 2, seq: 3}.encode(unkeyed)
	if got := fmt.Sprintf("%x", state[:29]); got != want || len(state) != epochBody+macSize {
		t.Errorf("epochState: %s of %d bytes, want %s", got, len(state), want)
	}
}

// A record is taken only whole, under its MAC, and behind the record that it follows.
func TestDamagedRecord(t *testing.T) {
	t.Parallel()
	record := recordWithMAC(position{7, 9}, put("key", "value"))
	for i := range len(record) * 8 {
		changed := bytes.Clone(record)
		changed[i/8] ^= 1 << (i % 8)
		if cutRecord(unkeyed, [macSize]byte{}, changed) != nil {
			t.Errorf("cutRecord took a record with bit %d flipped", i)
		}
	}
	for n := range record {
		if cutRecord(unkeyed, [macSize]byte{}, record[:n]) != nil {
			t.Errorf("cutRecord took a record cut to %d bytes", n)
		}
	}
	if cutRecord(unkeyed, [macSize]byte{1}, record) != nil {
		t.Error("cutRecord took a record behind another one than it was written behind")
	}
}

// The largest batch has a record, and log and memtable hold it.
func TestLargestRecord(t *testing.T) {
	t.Parallel()
	var b keystore.Batch
	for i := range MaxEntries {
		b.Put = append(b.Put, put(fmt.Sprintf("%04d", i), string(make([]byte, maxBatch/MaxEntries-4))).Put...)
	}
	record := recordWithMAC(position{1, 1}, b)
	if cutRecord(unkeyed, [macSize]byte{}, record) == nil || maxRecord > segmentSize-segmentStart || !newMemtable().takes(b) {
		t.Errorf("the largest record, of %d bytes, has no place", len(record))
	}
}

// Whatever parses is a record that is made again, byte for byte, from its parts.
func FuzzRecord(f *testing.F) {
	f.Add(recordWithMAC(position{7, 9}, put("key", "value")))
	at, b := sample()
	f.Add(recordWithMAC(at, b))
	f.Add(recordWithMAC(position{1, 1}, keystore.Batch{Put: []keystore.Pair{{}}}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		at, b, ok := parseRecord(content)
		if !ok {
			return
		}
		again := appendRecord(nil, at, b)
		if !bytes.Equal(again[4:], content[4:len(content)-macSize]) {
			t.Errorf("parseRecord reads %x as %v, %v", content, at, b)
		}
		if at, b, n, ok := parseRecordV1(content); ok && (n > len(content) || fits(b) != nil) {
			t.Errorf("parseRecordV1 reads %d bytes at %v", n, at)
		}
	})
}
