package audit

import (
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"strongroom.example/internal/suite"
)

// Nodes provides the hashes of complete subtrees, as Extend passed them to visit.
type Nodes interface {
	// Node returns the hash of the subtree over the leaves from index·2^level up to
	// (index+1)·2^level.
	Node(level uint, index uint64) ([32]byte, error)
}

// Inclusion returns a proof that the leaf at index is in the tree of size leaves (RFC
// 6962, section 2.1.1). It returns ErrRange if index is not below size, and the errors of
// n, wrapped.
func (t Tree) Inclusion(n Nodes, index, size uint64) ([][32]byte, error) {
	if index >= size {
		return nil, fmt.Errorf("%w: leaf %d of %d", ErrRange, index, size)
	}
	plan, err := proof.Inclusion(index, size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRange, err)
	}
	return t.follow(n, plan)
}

// Consistency returns a proof that the tree of from leaves is a prefix of the tree of to
// leaves (RFC 6962, section 2.1.2). The proof is empty if from is 0 or equal to to. It
// returns ErrRange if from is greater than to, and the errors of n, wrapped.
func (t Tree) Consistency(n Nodes, from, to uint64) ([][32]byte, error) {
	if from > to {
		return nil, fmt.Errorf("%w: from %d leaves to %d", ErrRange, from, to)
	}
	plan, err := proof.Consistency(from, to)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRange, err)
	}
	return t.follow(n, plan)
}

// follow fetches the nodes of a plan and combines those of the incomplete subtree.
func (t Tree) follow(n Nodes, plan proof.Nodes) ([][32]byte, error) {
	hashes := make([][]byte, len(plan.IDs))
	for i, id := range plan.IDs {
		hash, err := n.Node(id.Level, id.Index)
		if err != nil {
			return nil, fmt.Errorf("audit: node %s: %w", nodeName(id), err)
		}
		hashes[i] = hash[:]
	}
	hashes, err := plan.Rehash(hashes, hasher{t}.HashChildren)
	if err != nil {
		return nil, fmt.Errorf("audit: proof: %w", err)
	}
	path := make([][32]byte, len(hashes))
	for i, hash := range hashes {
		path[i] = [32]byte(hash)
	}
	return path, nil
}

func nodeName(id compact.NodeID) string { return fmt.Sprintf("%d of level %d", id.Index, id.Level) }

// VerifyInclusion verifies a proof made by Inclusion against a checkpoint that the caller
// trusts. It returns ErrProof if the proof does not verify.
func (t Tree) VerifyInclusion(leaf []byte, index uint64, in Checkpoint, path [][32]byte) error {
	hash := t.Leaf(leaf)
	if err := proof.VerifyInclusion(hasher{t}, index, in.Size, hash[:], slices32(path), in.Root[:]); err != nil {
		return fmt.Errorf("%w: leaf %d of %d", ErrProof, index, in.Size)
	}
	return nil
}

// VerifyConsistency verifies a proof made by Consistency between two checkpoints of one
// log. It returns ErrProof if the proof does not verify.
func (t Tree) VerifyConsistency(from, to Checkpoint, path [][32]byte) error {
	if from.Origin != to.Origin {
		return fmt.Errorf("%w: checkpoints of two logs", ErrProof)
	}
	if from.Size == 0 && from.Root != t.Root(State{}) {
		return fmt.Errorf("%w: not the root of the empty log", ErrProof)
	}
	err := proof.VerifyConsistency(hasher{t}, from.Size, to.Size, slices32(path), from.Root[:], to.Root[:])
	if err != nil {
		return fmt.Errorf("%w: from %d leaves to %d", ErrProof, from.Size, to.Size)
	}
	return nil
}

func slices32(path [][32]byte) [][]byte {
	hashes := make([][]byte, len(path))
	for i := range path {
		hashes[i] = path[i][:]
	}
	return hashes
}

// hasher implements the hasher of package proof for a Tree.
type hasher struct{ tree Tree }

func (h hasher) EmptyRoot() []byte {
	root := h.tree.Root(State{})
	return root[:]
}

func (h hasher) HashLeaf(leaf []byte) []byte {
	hash := h.tree.Leaf(leaf)
	return hash[:]
}

func (h hasher) HashChildren(left, right []byte) []byte {
	hash := h.tree.node([32]byte(left), [32]byte(right))
	return hash[:]
}

func (h hasher) Size() int { return suite.HashSize }
