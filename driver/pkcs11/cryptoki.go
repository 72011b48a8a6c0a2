//go:build cgo && unix

package pkcs11

/*
#cgo linux LDFLAGS: -ldl
// A module keeps no pointer after a call has returned, and does not call into Go. Data
// that is passed to it may therefore stay on the stack.
#cgo noescape ck_operate
#cgo nocallback ck_operate
#cgo noescape ck_gcm
#cgo nocallback ck_gcm
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

// A cryptoki is the function list of a module, for the calls that carry secrets. Each
// crosses into C once, and reads and writes the caller's memory, so that no secret is
// left on the C heap. All other calls go through the package miekg/pkcs11, with the same
// list.
type cryptoki struct{ list *C.ck_functions }

// An operation is an operation of a session with a key.
type operation C.int

const (
	opSign    operation = C.ck_op_sign
	opEncrypt operation = C.ck_op_encrypt
	opDecrypt operation = C.ck_op_decrypt
)

// names returns the standard's names of the initialising function and of the function
// itself.
func (o operation) names() (string, string) {
	switch o {
	case opSign:
		return "C_SignInit", "C_Sign"
	case opEncrypt:
		return "C_EncryptInit", "C_Encrypt"
	}
	return "C_DecryptInit", "C_Decrypt"
}

// dlopen loads a module. Two paths to one file return the same handle. The error has the
// text of the system.
func dlopen(path string) (handle unsafe.Pointer, err error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var reason *C.char
	if handle = C.ck_load(name, &reason); handle == nil {
		return nil, errors.New(C.GoString(reason))
	}
	return handle, nil
}

var errNoList = errors.New("its C_GetFunctionList fails")

// functions returns the function list that ctx uses. It reads the list from ctx by the
// names of unexported fields, because a second C_GetFunctionList may return another
// instance of the module: with p11-kit, initialisation and login through one list do not
// apply to the other. With a version of miekg/pkcs11 without these fields, every test
// fails.
func functions(ctx *p11.Ctx) (cryptoki, error) {
	inner := reflect.ValueOf(ctx).Elem().FieldByName("ctx")
	if !inner.IsValid() || inner.Kind() != reflect.Pointer || inner.IsNil() {
		return cryptoki{}, errNoList
	}
	list := inner.Elem().FieldByName("sym")
	if !list.IsValid() || list.Kind() != reflect.Pointer || list.IsNil() {
		return cryptoki{}, errNoList
	}
	return cryptoki{(*C.ck_functions)(list.UnsafePointer())}, nil
}

// A call is one operation with a key, with its input and the buffer for its output.
type call struct {
	op        operation
	session   uint
	key       uint
	mechanism uint
	parameter []uint // as the machine words of a structure without pointers
	in, out   []byte
}

// operate runs a call and returns the length of the output. in may be empty; out may not.
func (c cryptoki) operate(a *call) (int, error) {
	n, failed := C.ck_ulong(len(a.out)), C.int(0)
	rv := C.ck_operate(c.list, C.int(a.op), C.ck_ulong(a.session), C.ck_ulong(a.key), C.ck_ulong(a.mechanism),
		unsafe.Pointer(unsafe.SliceData(a.parameter)), C.ck_ulong(len(a.parameter))*C.sizeof_ck_ulong,
		pointer(a.in), C.ck_ulong(len(a.in)), pointer(a.out), &n, &failed)
	return result(a, uint(rv), int(n), failed)
}

// gcm is operate for AES-GCM, with an iv of 12 bytes and a tag of 16.
func (c cryptoki) gcm(a *call, iv *[12]byte, aad []byte) (int, error) {
	n, failed := C.ck_ulong(len(a.out)), C.int(0)
	rv := C.ck_gcm(c.list, C.int(a.op), C.ck_ulong(a.session), C.ck_ulong(a.key), pointer(iv[:]),
		pointer(aad), C.ck_ulong(len(aad)), pointer(a.in), C.ck_ulong(len(a.in)), pointer(a.out), &n, &failed)
	return result(a, uint(rv), int(n), failed)
}

func result(a *call, rv uint, n int, failedInit C.int) (int, error) {
	if rv == 0 && n <= len(a.out) {
		return n, nil
	}
	first, name := a.op.names()
	if failedInit != 0 {
		name = first
	}
	return 0, &codeError{call: name, code: rv}
}

// login logs the user in. A nil PIN means that it is entered on the token's keypad.
func (c cryptoki) login(session uint, pin []byte) error {
	return code("C_Login", uint(C.ck_login(c.list, C.ck_ulong(session), pointer(pin), C.ck_ulong(len(pin)))))
}

// random fills out with random bytes.
func (c cryptoki) random(session uint, out []byte) error {
	return code("C_GenerateRandom", uint(C.ck_random(c.list, C.ck_ulong(session), pointer(out), C.ck_ulong(len(out)))))
}

// create makes an object with the attributes of a template, and wipes its own copy of the
// values.
func (c cryptoki) create(session uint, t template) (uint, error) {
	values, cells := t.flatten()
	defer suite.Wipe(values)
	list := make([]C.ck_cell, len(cells))
	for i, cell := range cells {
		list[i] = C.ck_cell{C.ck_ulong(t[i].kind), C.ck_ulong(cell.offset), C.ck_ulong(cell.size)}
	}
	var object C.ck_ulong
	rv := C.ck_create(c.list, C.ck_ulong(session), pointer(values), unsafe.SliceData(list), C.ck_ulong(len(list)), &object)
	return uint(object), code("C_CreateObject", uint(rv))
}

func pointer(b []byte) *C.ck_byte { return (*C.ck_byte)(unsafe.Pointer(unsafe.SliceData(b))) }

// cString copies text to the C heap. The caller calls free.
func cString(text string) (p unsafe.Pointer, free func()) {
	c := C.CString(text)
	return unsafe.Pointer(c), func() { C.free(unsafe.Pointer(c)) }
}

// nest encodes a template as the value of an attribute. The value points to the C heap
// until free is called. It must not contain secrets.
func nest(t template) (value []byte, free func()) {
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
