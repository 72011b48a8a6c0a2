package audit

import (
	"math/bits"
)

// A Tree is the Merkle tree of RFC 6962, section 2.1, over the leaves of a log,
// with the hash of a suite: SHA-256 or SM3. It holds no leaves; a State does.
type Tree struct{ Suite Suite }

// A State is all that a log must keep to go on growing: how many leaves it has, and
// the roots of the complete subtrees that cover them, from the left and largest to
// the right and smallest. Its zero value is the empty log.
type State struct {
	Size     uint64
	Frontier [][32]byte
}

// Valid reports whether the frontier has as many hashes as the size demands: one
// for each bit that is set.
func (s State) Valid() bool { return len(s.Frontier) == bits.OnesCount64(s.Size) }

// Leaf returns the hash of a leaf: H(00 ‖ leaf).
func (t Tree) Leaf(leaf []byte) [32]byte {
	return t.Suite.Sum(append(append(make([]byte, 0, 1024), 0), leaf...))
}

func (t Tree) node(left, right [32]byte) [32]byte {
	var b [65]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return t.Suite.Sum(b[:])
}

// Extend returns the state after leaves are added to s, and leaves s as it is.
// Each subtree that becomes complete, a leaf being one of level 0, is given to
// visit, children first; visit may be nil. It panics if s is not Valid.
func (t Tree) Extend(s State, leaves [][]byte, visit func(level uint, index uint64, hash [32]byte)) State {
	if !s.Valid() {
		panic("audit: the frontier does not fit the size of the log")
	}
	frontier := make([][32]byte, len(s.Frontier), len(s.Frontier)+1)
	copy(frontier, s.Frontier)
	next := State{Size: s.Size, Frontier: frontier}
	for _, leaf := range leaves {
		t.push(&next, t.Leaf(leaf), visit)
	}
	return next
}

// push adds one leaf's hash, and merges it with each complete subtree of its size
// on its left.
func (t Tree) push(s *State, hash [32]byte, visit func(level uint, index uint64, hash [32]byte)) {
	level, index := uint(0), s.Size
	if visit != nil {
		visit(level, index, hash)
	}
	for ; index&1 == 1; index >>= 1 {
		last := len(s.Frontier) - 1
		hash = t.node(s.Frontier[last], hash)
		s.Frontier = s.Frontier[:last]
		level++
		if visit != nil {
			visit(level, index>>1, hash)
		}
	}
	s.Frontier = append(s.Frontier, hash)
	s.Size++
}

// Root returns the root hash of the log; that of the empty log is the hash of
// nothing.
func (t Tree) Root(s State) [32]byte {
	last := len(s.Frontier) - 1
	if last < 0 {
		return t.Suite.Hash()
	}
	root := s.Frontier[last]
	for i := last - 1; i >= 0; i-- {
		root = t.node(s.Frontier[i], root)
	}
	return root
}
