//go:build cgo && unix

package cryptoki

/*
#cgo linux LDFLAGS: -ldl
// A module keeps no pointer after a call has returned, and does not call into Go. Data
// that is passed to it may therefore stay on the stack.
#cgo noescape ck_operate
#cgo nocallback ck_operate
#include <stdlib.h>
#include "cryptoki.h"
*/
import "C"

import (
	"errors"
	"reflect"
	"unsafe"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/internal/suite"
)

// A functionList is the function list of a module, for the calls that carry secrets. Each
// crosses into C once, and reads and writes the caller's memory, so that no secret is
// left on the C heap. All other calls go through the package miekg/pkcs11, with the same
// list.
type functionList struct{ list *C.ck_functions }

// An Operation is an operation of a session with a key.
type Operation C.int

const (
	OpSign    Operation = C.ck_op_sign
	OpDecrypt Operation = C.ck_op_decrypt
)

// names returns the standard's names of the initialising function and of the function
// itself.
func (o Operation) names() (string, string) {
	if o == OpSign {
		return "C_SignInit", "C_Sign"
	}
	return "C_DecryptInit", "C_Decrypt"
}

// Dlopen loads a module. Two paths to one file return the same handle. The error has the
// text of the system.
func Dlopen(path string) (handle unsafe.Pointer, err error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var reason *C.char
	if handle = C.ck_load(name, &reason); handle == nil {
		return nil, errors.New(C.GoString(reason))
	}
	return handle, nil
}

var errNoList = errors.New("its C_GetFunctionList fails")

// functionListOf returns the function list that ctx uses. It reads the list from ctx by the
// names of unexported fields, because a second C_GetFunctionList may return another
// instance of the module: with p11-kit, initialisation and login through one list do not
// apply to the other. With a version of miekg/pkcs11 without these fields, every test
// fails.
func functionListOf(ctx *p11.Ctx) (functionList, error) {
	inner := reflect.ValueOf(ctx).Elem().FieldByName("ctx")
	if !inner.IsValid() || inner.Kind() != reflect.Pointer || inner.IsNil() {
		return functionList{}, errNoList
	}
	list := inner.Elem().FieldByName("sym")
	if !list.IsValid() || list.Kind() != reflect.Pointer || list.IsNil() {
		return functionList{}, errNoList
	}
	return functionList{(*C.ck_functions)(list.UnsafePointer())}, nil
}

// A Call is one operation with a key, with its input and the buffer for its output.
type Call struct {
	Op        Operation
	Session   uint
	Key       uint
	Mechanism uint
	Parameter []uint // as the machine words of a structure without pointers
	In, Out   []byte
}

// Operate runs a call and returns the length of the output. in may be empty; out may not.
func (c functionList) Operate(a *Call) (int, error) {
	n, failed := C.ck_ulong(len(a.Out)), C.int(0)
	rv := C.ck_operate(c.list, C.int(a.Op), C.ck_ulong(a.Session), C.ck_ulong(a.Key), C.ck_ulong(a.Mechanism),
		unsafe.Pointer(unsafe.SliceData(a.Parameter)), C.ck_ulong(len(a.Parameter))*C.sizeof_ck_ulong,
		pointer(a.In), C.ck_ulong(len(a.In)), pointer(a.Out), &n, &failed)
	return result(a, uint(rv), int(n), failed)
}

func result(a *Call, rv uint, n int, failedInit C.int) (int, error) {
	if rv == 0 && n <= len(a.Out) {
		return n, nil
	}
	first, name := a.Op.names()
	if failedInit != 0 {
		name = first
	}
	return 0, &ReturnError{Call: name, code: rv}
}

// Login logs the user in. A nil PIN means that it is entered on the token's keypad.
func (c functionList) Login(session uint, pin []byte) error {
	return Check("C_Login", uint(C.ck_login(c.list, C.ck_ulong(session), pointer(pin), C.ck_ulong(len(pin)))))
}

// Random fills out with random bytes.
func (c functionList) Random(session uint, out []byte) error {
	return Check("C_GenerateRandom", uint(C.ck_random(c.list, C.ck_ulong(session), pointer(out), C.ck_ulong(len(out)))))
}

// Create makes an object with the attributes of a template, and wipes its own copy of the
// values.
func (c functionList) Create(session uint, t Template) (uint, error) {
	values, cells := t.flatten()
	defer suite.Wipe(values)
	list := make([]C.ck_cell, len(cells))
	for i, cell := range cells {
		list[i] = C.ck_cell{C.ck_ulong(t[i].kind), C.ck_ulong(cell.offset), C.ck_ulong(cell.size)}
	}
	var object C.ck_ulong
	rv := C.ck_create(c.list, C.ck_ulong(session), pointer(values), unsafe.SliceData(list), C.ck_ulong(len(list)), &object)
	return uint(object), Check("C_CreateObject", uint(rv))
}

func pointer(b []byte) *C.ck_byte { return (*C.ck_byte)(unsafe.Pointer(unsafe.SliceData(b))) }

// CString copies text to the C heap. The caller calls free.
func CString(text string) (p unsafe.Pointer, free func()) {
	c := C.CString(text)
	return unsafe.Pointer(c), func() { C.free(unsafe.Pointer(c)) }
}

// EncodeNested encodes a template as the value of an attribute. The value points to the C
// heap until free is called. It must not contain secrets.
func EncodeNested(t Template) (value []byte, free func()) {
	const size = C.sizeof_ck_attribute
	values, spans := t.flatten()
	block := C.CBytes(values)
	list := unsafe.Slice((*C.ck_attribute)(C.calloc(C.size_t(len(t)), size)), len(t))
	for i, at := range spans {
		list[i]._type = C.ck_ulong(t[i].kind)
		list[i].value = unsafe.Add(block, at.offset)
		list[i].value_len = C.ck_ulong(at.size)
	}
	start := unsafe.Pointer(unsafe.SliceData(list))
	return C.GoBytes(start, C.int(len(t)*size)), func() {
		C.free(start)
		C.free(block)
	}
}
