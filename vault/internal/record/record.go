// Package record encodes and decodes the records of a vault that are JSON.
package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"strongroom.example/keystore"
	"strongroom.example/vault/internal/fault"
)

// A Reader reads stored records. A *keystore.Tx is one.
type Reader interface {
	Get(path string) (keystore.Record, error)
}

// Read reads and decodes the record at path. Errors: keystore.ErrNotFound, ErrCorrupt.
func Read[T any](from Reader, path string) (t T, err error) {
	r, err := from.Get(path)
	if err != nil {
		return t, err
	}
	return Decode[T](path, r.Value)
}

// ReadIf is Read, and returns the zero value if there is no record at path.
func ReadIf[T any](from Reader, path string) (T, error) {
	t, err := Read[T](from, path)
	if errors.Is(err, keystore.ErrNotFound) {
		return t, nil
	}
	return t, err
}

// ReadCount reads the number at path, which EncodeCount encoded. Errors: those of Read.
func ReadCount(from Reader, path string) (uint64, error) {
	r, err := from.Get(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(r.Value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: record %s is not readable", fault.ErrCorrupt, path)
	}
	return n, nil
}

// EncodeCount encodes a number.
func EncodeCount(n uint64) []byte { return strconv.AppendUint(nil, n, 10) }

// Decode decodes the record that is stored at path. It returns ErrCorrupt if it is not
// readable.
func Decode[T any](path string, stored []byte) (T, error) {
	var t T
	if err := json.Unmarshal(stored, &t); err != nil {
		return t, fmt.Errorf("%w: record %s is not readable", fault.ErrCorrupt, path)
	}
	return t, nil
}

// Encode encodes a record, which cannot fail. It does not escape the characters <, > and &.
func Encode(record any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(record); err != nil {
		panic("strongroom: record cannot be encoded: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
