package vault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"strongroom.example/driver"
)

// The paths of stored records.
func keyPath(id string) string                 { return "key/" + id }
func aliasPath(name string) string             { return "alias/" + name }
func versionPath(id string, n uint32) string   { return "version/" + id + "/" + tenDigits(n) }
func materialPath(id driver.MaterialID) string { return "material/" + id.String() }
func intentPath(id driver.MaterialID) string   { return "intent/" + id.String() }

// tenDigits formats n with ten digits, so that the texts sort in the order of the numbers.
func tenDigits(n uint32) string {
	digits := strconv.FormatUint(uint64(n), 10)
	return "0000000000"[len(digits):] + digits
}

// decode reads a stored JSON record.
func decode[T any](path string, stored []byte) (T, error) {
	var t T
	if err := json.Unmarshal(stored, &t); err != nil {
		return t, fmt.Errorf("%w: record %s is not readable", ErrCorrupt, path)
	}
	return t, nil
}

// encode encodes a record of this package as JSON, which cannot fail. It does not escape
// the characters <, > and &.
func encode(record any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(record); err != nil {
		panic("strongroom: record cannot be encoded: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
