package audit

import (
	"math/bits"

	"strongroom.example/internal/suite"
)

// A Suite selects the hash of a log's tree and the signature algorithm of its
// checkpoints.
type Suite uint8

// The suites.
const (
	// SuiteAES is SHA-256 and Ed25519, of the Standard and FIPS editions.
	SuiteAES = Suite(suite.AES)
	// SuiteSM is SM3 and SM2, of the SM edition.
	SuiteSM = Suite(suite.SM)
)

// String returns the name of the suite, as an export has it: "AES_256_GCM_SHA_256" or
// "SM4_GCM_SM3".
func (s Suite) String() string { return s.id().String() }

func (s Suite) id() suite.ID { return suite.ID(s) }

// A Tree computes the Merkle tree of RFC 6962, section 2.1, over the leaves of a log,
// with the hash of a suite: SHA-256 or SM3. It holds no data; see State.
type Tree struct{ Suite Suite }

// A State is the data needed to append to a log: the number of leaves, and the roots of
// the complete subtrees that cover them, from the left and largest to the right and
// smallest. The zero value is the empty log.
type State struct {
	Size     uint64
	Frontier [][32]byte
}

// Valid reports whether the frontier has the number of hashes that the size requires: one
// for each bit that is set.
func (s State) Valid() bool { return len(s.Frontier) == bits.OnesCount64(s.Size) }

// Leaf returns the hash of a leaf: H(00 ‖ leaf).
func (t Tree) Leaf(leaf []byte) [32]byte {
	return t.Suite.id().Sum(append(append(make([]byte, 0, 1024), 0), leaf...))
}

func (t Tree) node(left, right [32]byte) [32]byte {
	var b [65]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return t.Suite.id().Sum(b[:])
}

// Extend returns the state after leaves are appended to s. It does not change s. It
// passes each subtree that becomes complete to visit, children first; a leaf is a subtree
// of level 0. visit may be nil. Extend panics if s is not Valid.
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

// push appends one leaf's hash, and merges it with the complete subtrees of equal size to
// its left.
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

// Root returns the root hash of the log. The root of the empty log is the hash of the
// empty string.
func (t Tree) Root(s State) [32]byte {
	last := len(s.Frontier) - 1
	if last < 0 {
		return t.Suite.id().Hash()
	}
	root := s.Frontier[last]
	for i := last - 1; i >= 0; i-- {
		root = t.node(s.Frontier[i], root)
	}
	return root
}
