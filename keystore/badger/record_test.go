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

func TestRecordRoundTrip(t *testing.T) {
	at, b := sample()
	record := appendRecord([]byte("before"), at, b)[len("before"):]
	gotAt, got, ok := parseRecord(record)
	if !ok || gotAt != at || !reflect.DeepEqual(got, b) {
		t.Errorf("%v, %v, %v", gotAt, got, ok)
	}
}

// The bytes are a format: they do not change.
func TestRecordBytes(t *testing.T) {
	record := appendRecord(nil, position{1, 2}, keystore.Batch{
		Put: []keystore.Pair{{Key: []byte("k"), Value: []byte("v")}}, Delete: [][]byte{[]byte("d")},
	})
	want := "0000002b" + "c7e93b61" + "0000000000000001" + "0000000000000002" + "00000001" + "00000001" +
		"0001" + "00000001" + "6b" + "76" + "0001" + "64"
	if got := fmt.Sprintf("%x", record); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestDamagedRecord(t *testing.T) {
	record := appendRecord(nil, position{7, 9}, put("key", "value"))
	for i := range len(record) * 8 {
		changed := bytes.Clone(record)
		changed[i/8] ^= 1 << (i % 8)
		if _, _, ok := parseRecord(changed); ok {
			t.Errorf("bit %d flipped: accepted", i)
		}
	}
	for n := range record {
		if _, _, ok := parseRecord(record[:n]); ok {
			t.Errorf("cut to %d bytes: accepted", n)
		}
	}
	if _, _, ok := parseRecord(append(record, 0)); ok {
		t.Error("with a byte after it: accepted")
	}
}

// The largest batch has a record, and the log holds it.
func TestLargestRecord(t *testing.T) {
	var b keystore.Batch
	for i := range MaxEntries {
		b.Put = append(b.Put, put(fmt.Sprintf("%04d", i), string(make([]byte, maxBatch/MaxEntries-4))).Put...)
	}
	record := appendRecord(nil, position{1, 1}, b)
	if n, ok := recordLength(record); !ok || n != len(record) || maxRecord > redoSize {
		t.Errorf("%d bytes, %v", n, ok)
	}
}

// Whatever parses is a record that is made again, byte for byte, from its parts.
func FuzzRecord(f *testing.F) {
	f.Add(appendRecord(nil, position{7, 9}, put("key", "value")))
	at, b := sample()
	f.Add(appendRecord(nil, at, b))
	f.Add(appendRecord(nil, position{1, 1}, keystore.Batch{Put: []keystore.Pair{{}}}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		sealed := bytes.Clone(content)
		if len(sealed) >= recordHeader { // so that the fuzzer gets past the checksum
			reseal(sealed)
		}
		for _, record := range [][]byte{content, sealed} {
			at, b, ok := parseRecord(record)
			if ok && !bytes.Equal(appendRecord(nil, at, b), record) {
				t.Errorf("%x is read as %v, %v", record, at, b)
			}
		}
	})
}
