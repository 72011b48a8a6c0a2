package suite

import (
	"reflect"
	"runtime"
	"sync"
	"unsafe"
)

// Wipe overwrites b with zeros. It is the only wiping function of the project.
func Wipe(b []byte) {
	clear(b)
	runtime.KeepAlive(b)
}

// maxStateDepth limits the recursion into a state. The states of the libraries have at
// most 6 levels; a cycle would not end.
const maxStateDepth = 16

// WipeState overwrites the memory that a cipher or MAC state reaches. It uses reflection,
// because the libraries offer no way to wipe. The state must not be used afterwards, and
// neither must any state that shares memory with it: see [apart]. WipeState does not wipe
// registers, the stack, and memory that stateMemory does not reach.
func WipeState(state any) {
	stateMemory(reflect.ValueOf(state), maxStateDepth, Wipe)
	runtime.KeepAlive(state)
}

// apart reports whether two cipher objects are proven to share no memory, so that one can
// be wiped while the other is in use. Whether a library copies the key schedule of an
// object that it is given, or retains it, differs by version and processor: on s390x the
// GCM of crypto/cipher shares the key of its cipher.Block; elsewhere it has a copy.
func apart(a, b any) bool {
	var space [16]memory
	of := space[:0]
	all := stateMemory(reflect.ValueOf(a), maxStateDepth, func(p []byte) { of = append(of, memoryOf(p)) })
	disjoint := true
	all = stateMemory(reflect.ValueOf(b), maxStateDepth, func(p []byte) {
		for _, m := range of {
			disjoint = disjoint && !m.overlaps(memoryOf(p))
		}
	}) && all
	return all && disjoint
}

// memory is a range of addresses.
type memory struct{ start, end uintptr }

func memoryOf(p []byte) memory {
	start := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	return memory{start, start + uintptr(len(p))}
}

func (m memory) overlaps(o memory) bool { return m.start < o.end && o.start < m.end }

// stateMemory calls see with each piece of pointer-free memory that v holds or points to:
// structs, arrays, numbers and the whole capacity of slices. It does not visit strings,
// which may be constants, and does not change pointers. It reports whether it reached
// everything: it cannot reach into functions, maps, channels and values that are not
// addressable.
func stateMemory(v reflect.Value, depth int, see func([]byte)) (all bool) {
	if depth == 0 {
		return false
	}
	switch v.Kind() {
	case reflect.Invalid, reflect.String:
		return true
	case reflect.Interface, reflect.Pointer:
		return v.IsNil() || stateMemory(v.Elem(), depth-1, see)
	case reflect.Slice:
		return sliceMemory(v, depth, see)
	}
	if pointerFree(v.Type()) {
		return plainMemory(v, see)
	}
	all = true
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			all = stateMemory(v.Field(i), depth-1, see) && all
		}
	case reflect.Array:
		for i := range v.Len() {
			all = stateMemory(v.Index(i), depth-1, see) && all
		}
	default:
		return false
	}
	return all
}

// sliceMemory is stateMemory for a slice.
func sliceMemory(v reflect.Value, depth int, see func([]byte)) (all bool) {
	if v.Cap() == 0 {
		return true
	}
	if pointerFree(v.Type().Elem()) {
		see(unsafe.Slice((*byte)(v.UnsafePointer()), uintptr(v.Cap())*v.Type().Elem().Size()))
		return true
	}
	all = true
	for i := range v.Len() {
		all = stateMemory(v.Index(i), depth-1, see) && all
	}
	return all
}

// plainMemory calls see with the memory of a pointer-free value.
func plainMemory(v reflect.Value, see func([]byte)) (all bool) {
	size := v.Type().Size()
	if size == 0 {
		return true
	}
	if !v.CanAddr() {
		return false
	}
	see(unsafe.Slice((*byte)(unsafe.Pointer(v.UnsafeAddr())), size))
	return true
}

// plainTypes remembers the results of pointerFree, by reflect.Type. The walk over the
// fields of a cipher state would be a sixth of the time of Open.
var plainTypes sync.Map

// pointerFree reports whether values of t hold no pointer, so that they may be
// overwritten byte by byte.
func pointerFree(t reflect.Type) bool {
	if known, ok := plainTypes.Load(t); ok {
		return known.(bool)
	}
	free := hasNoPointer(t)
	plainTypes.Store(t, free)
	return free
}

func hasNoPointer(t reflect.Type) bool {
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

// NewSecret returns n zeroed bytes for a secret, which the caller wipes. They are on the
// heap, because a slice that a function allocates for itself may be on its stack, and a
// stack that grows leaves a copy of itself behind.
//
//go:noinline
func NewSecret(n int) []byte { return make([]byte, n) }
