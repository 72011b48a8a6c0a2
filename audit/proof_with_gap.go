package audit

// A LogGap is a range of records that a log does not have any more: from record From up to but
// not including After.Size, at which the tree has the state After.
type LogGap struct {
	From  uint64
	After State
	// Err is the error for a proof that needs the records.
	Err error
}

// Without returns the nodes of a log that lacks the records of a gap. It computes a node
// that spans the gap from the frontier of g.After and from inner, which has the nodes of
// the other records. A node that needs records of the gap is g.Err. These nodes prove the
// inclusion of every record behind the gap, and the consistency of all trees of the size of
// g.After and larger. Of several gaps, the last is the outermost.
func (t Tree) Without(g LogGap, inner Nodes) Nodes {
	kept, at := map[[2]uint64][32]byte{}, g.After.Size
	for i := len(g.After.Frontier) - 1; i >= 0; i-- { // from the smallest subtree, which ends at the size
		level := uint64(0)
		for at>>level&1 == 0 {
			level++
		}
		at -= 1 << level
		kept[[2]uint64{level, at >> level}] = g.After.Frontier[i]
	}
	return keptNodes{t, g, kept, inner}
}

type keptNodes struct {
	tree  Tree
	gap   LogGap
	kept  map[[2]uint64][32]byte // by level and index
	inner Nodes
}

// Node implements Nodes.
func (n keptNodes) Node(level uint, index uint64) ([32]byte, error) {
	first, end := index<<level, (index+1)<<level
	if n.gap.After.Size <= first || end <= n.gap.From {
		return n.inner.Node(level, index)
	}
	if hash, ok := n.kept[[2]uint64{uint64(level), index}]; ok {
		return hash, nil
	}
	if n.gap.From <= first && end <= n.gap.After.Size {
		return [32]byte{}, n.gap.Err
	}
	left, err := n.Node(level-1, 2*index)
	if err != nil {
		return [32]byte{}, err
	}
	right, err := n.Node(level-1, 2*index+1)
	return n.tree.node(left, right), err
}
