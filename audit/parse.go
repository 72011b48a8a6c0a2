package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// ParseRecord reads a leaf. It takes exactly what Append writes and nothing else:
// another order, a space, an unknown, empty or repeated field is ErrRecord. So a
// record has one form, and equal records have equal leaves.
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
