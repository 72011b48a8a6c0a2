package vault

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"strongroom.example/vault/internal/record"
)

// wholeKey returns a CMK all of whose stored fields are set.
func wholeKey(t testing.TB) Key {
	t.Helper()
	var k Key
	fill(t, reflect.ValueOf(&k).Elem())
	k.Uses = nil // never stored
	return k
}

// fill sets every field of a struct to a value that is not zero.
func fill(t testing.TB, v reflect.Value) {
	t.Helper()
	if _, ok := v.Interface().(time.Time); ok {
		v.Set(reflect.ValueOf(time.Date(2026, 3, 4, 5, 6, 7, 891_000, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.String:
		v.SetString("a text é <&>")
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(4_294_967_295)
	case reflect.Int:
		v.SetInt(365)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"team": "pay", "stage": ""}))
	case reflect.Slice:
		v.Set(reflect.ValueOf([]string{"one", "two"}))
	case reflect.Pointer:
	default:
		t.Fatalf("a field of kind %s", v.Kind())
	}
}

// TestReadKey: the reader takes the form that encode writes, with every field and with none,
// and reads the same as encoding/json.
func TestReadKey(t *testing.T) {
	whole := wholeKey(t)
	stored := encode(whole)
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(stored, &fields); err != nil {
		t.Fatal(err)
	}
	if n := reflect.TypeFor[Key]().NumField() - 1; len(fields) != n {
		t.Errorf("the record has %d fields, want %d", len(fields), n)
	}
	for _, k := range []Key{whole, {}, {ID: "x", Rotation: Rotation{Uses: 1}}} {
		got, ok := readKey(encode(k))
		if want, err := record.Decode[Key]("p", encode(k)); err != nil || !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("readKey of %s: %+v, %v, want %+v, true", encode(k), got, ok, want)
		}
	}
	for n := range stored {
		if _, err := decodeKey("p", stored[:n]); err == nil {
			t.Errorf("decodeKey of the first %d bytes of a record: no error", n)
		}
	}
}

// FuzzReadKey: what the reader takes, encoding/json reads as the same CMK.
func FuzzReadKey(f *testing.F) {
	whole := encode(wholeKey(f))
	f.Add(whole)
	f.Add(encode(Key{}))
	f.Add(bytes.ReplaceAll(whole, []byte("a text"), []byte(`a\ttext`)))
	for _, s := range []string{
		`{}`, `{"id":"x"}`, `{"id":"x",}`, `{,"id":"x"}`, `{"alias":"x"}`, `{"id":"x","id":"y"}`, `{"ID":"x"}`, `{"id":null}`, ` {"id":"x"} `, `{"id":"x"}{}`,
		"{\"id\":\"\xff\"}", "{\"id\":\"\xed\xa0\x80\"}", "{\"id\":\"\x7f\"}", "{\"id\":\"\n\"}", `{"tags":{}}`, `{"tags":{"a":"b",}}`, `{"tags":{"a":"b","a":"c"}}`, `{"tags":null}`,
		`{"otherAliases":["a","b"]}`, `{"otherAliases":[]}`, `{"otherAliases":["a",]}`, `{"otherAliases":["a" ]}`, `{"otherAliases":[null]}`, `{"otherAliases":null}`,
		`{"version":01}`, `{"version":0}`, `{"version":-1}`, `{"version":4294967296}`, `{"version":1.0}`, `{"version":1e2}`, `{"version":}`,
		`{"created":"2026-03-04T05:06:07+01:00"}`, `{"created":"2026-03-04T5:06:07Z"}`, `{"created":"2026-03-04T24:06:07Z"}`, `{"created":""}`,
		`{"rotation":{}}`, `{"rotation":{"uses":1,"days":2}}`, `{"rotation":{"days":1,"uses":18446744073709551615}}`, `{"rotation":{"days":9223372036854775808}}`, `{"uses":{"protected":1}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stored []byte) {
		got, ok := readKey(stored)
		want, err := record.Decode[Key]("p", stored)
		if ok && (err != nil || !reflect.DeepEqual(got, want)) {
			t.Errorf("readKey of %q: %+v, encoding/json: %+v, error %v", stored, got, want, err)
		}
	})
}
