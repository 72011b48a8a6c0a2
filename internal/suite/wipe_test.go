package suite

import (
	"bytes"
	"reflect"
	"testing"
	"unsafe"
)

// plainBytes gathers what wipeState must zero, by the same walk.
func plainBytes(v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return plainBytes(v.Elem())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 && v.Cap() > 0 {
			return bytes.Clone(unsafe.Slice((*byte)(v.UnsafePointer()), v.Cap()))
		}
		return nil
	case reflect.Struct:
		var all []byte
		for i := range v.NumField() {
			all = append(all, plainBytes(v.Field(i))...)
		}
		return all
	}
	if !v.CanAddr() || !pointerFree(v.Type()) {
		return nil
	}
	return bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(v.UnsafeAddr())), v.Type().Size()))
}

func TestWipeStateOfCiphers(t *testing.T) {
	for _, id := range usable() {
		key := bytes.Repeat([]byte{0xC3}, id.KeySize())
		a, err := id.NewAEAD(key)
		if err != nil {
			t.Fatal(err)
		}
		state := reflect.ValueOf(a.gcm)
		before := plainBytes(state)
		if n := len(before) - bytes.Count(before, []byte{0}); n < 100 {
			t.Fatalf("%v: only %d bytes of state found: the walk misses the round keys", id, n)
		}
		a.Wipe()
		if after := plainBytes(state); len(bytes.Trim(after, "\x00")) != 0 {
			t.Errorf("%v: state survives Wipe", id)
		}
	}
}

func TestWipeStateOfMAC(t *testing.T) {
	for _, id := range usable() {
		h := id.newMAC(bytes.Repeat([]byte{0xC3}, 32))
		pad := bytes.Repeat([]byte{0xC3 ^ 0x36}, 32)
		if !bytes.Contains(plainBytes(reflect.ValueOf(h)), pad) {
			t.Fatalf("%v: the walk misses the inner pad", id)
		}
		wipeState(h)
		if len(bytes.Trim(plainBytes(reflect.ValueOf(h)), "\x00")) != 0 {
			t.Errorf("%v: state survives", id)
		}
	}
}
