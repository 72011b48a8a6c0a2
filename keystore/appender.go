package keystore

// LogState is the state of the audit log: its size, the root of its tree, the
// tree's frontier, and the size at the last checkpoint.
type LogState struct {
	Size       uint64
	Root       [32]byte
	Frontier   [][32]byte
	Checkpoint uint64
}

// Appender turns leaves into the next log state. It is pure: the same input
// gives the same tree, and it keeps nothing. The committer calls it once a
// group, Check calls it over the whole log. It must not keep the leaves.
type Appender interface {
	Extend(from LogState, leaves [][]byte) (Extension, error)
}

// Extension is what Extend answers: the new state, and records to store in the
// same batch.
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
