package suite

import (
	"reflect"
	"runtime"
	"unsafe"
)

// Wipe overwrites b with zeros. It is the one wiping function of the project.
func Wipe(b []byte) {
	clear(b)
	runtime.KeepAlive(b)
}

// wipeState overwrites everything secret that a cipher or MAC state holds. The
// libraries offer no way to do so, hence the reflection: it follows interfaces
// and pointers, zeroes each pointer-free struct, array, number and slice of bytes
// it reaches, and leaves functions and pointers themselves as they are. A state
// is dead afterwards. Registers and stack are not reached.
func wipeState(state any) {
	wipeValue(reflect.ValueOf(state))
	runtime.KeepAlive(state)
}

func wipeValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			wipeValue(v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 && v.Cap() > 0 {
			Wipe(unsafe.Slice((*byte)(v.UnsafePointer()), v.Cap()))
		}
	case reflect.Struct:
		if !wipePlain(v) {
			for i := range v.NumField() {
				wipeValue(v.Field(i))
			}
		}
	default:
		wipePlain(v)
	}
}

// wipePlain overwrites v if its type is free of pointers, and reports that.
func wipePlain(v reflect.Value) bool {
	if !v.CanAddr() || !pointerFree(v.Type()) {
		return false
	}
	Wipe(unsafe.Slice((*byte)(unsafe.Pointer(v.UnsafeAddr())), v.Type().Size()))
	return true
}

func pointerFree(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return pointerFree(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !pointerFree(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return t.Kind() >= reflect.Bool && t.Kind() <= reflect.Complex128
}
