package keystore

// LogState is the state of the audit log: its size, the root of its tree, the
// tree's frontier, and the size at the last checkpoint.
type LogState struct {
	Size       uint64
	Root       [32]byte
	Frontier   [][32]byte
	Checkpoint uint64
}

// An Appender computes the next state of the log's tree from new leaves. It is pure: the
// same input gives the same result, and it keeps no state and none of the leaves. The
// committer calls it once for each group; Check calls it over the whole log.
type Appender interface {
	Extend(from LogState, leaves [][]byte) (Extension, error)
}

// Extension is the result of Extend: the new state, and the records to store in the same
// batch.
type Extension struct {
	State LogState
	Put   []SideRecord
}

// SideRecord is an ordinary record, of class Meta, that belongs to the log:
// an inner node or a checkpoint.
type SideRecord struct {
	Path  string
	Value []byte
}

func (s LogState) clone() LogState {
	s.Frontier = append([][32]byte(nil), s.Frontier...)
	return s
}
