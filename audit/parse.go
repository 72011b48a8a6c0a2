package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// ParseRecord parses a leaf. It accepts only the output of Append: another field order, a
// space, or an unknown, empty or repeated field is ErrRecord. Every record therefore has
// exactly one encoding, and equal records have equal leaves.
func ParseRecord(leaf []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(leaf, &r); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if !bytes.Equal(r.Append(make([]byte, 0, len(leaf)+576)), leaf) {
		return Record{}, fmt.Errorf("%w: not in its one form", ErrRecord)
	}
	return r, nil
}
