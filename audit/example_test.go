package audit_test

import (
	"crypto/rand"
	"fmt"
	"log"

	"strongroom.example/audit"
)

// inner holds the nodes of a small log.
type inner map[[2]uint64][32]byte

func (m inner) Node(level uint, index uint64) ([32]byte, error) {
	return m[[2]uint64{uint64(level), index}], nil
}

// A log of three records, a checkpoint that can be verified with the public key, and a
// proof that a record is in the log.
func ExampleTree() {
	seed := make([]byte, 32)
	rand.Read(seed)
	key, err := audit.NewLogKey(audit.SuiteAES, audit.Origin("demo"), seed)
	if err != nil {
		log.Fatal(err)
	}
	defer key.Wipe()

	tree, nodes := audit.Tree{Suite: audit.SuiteAES}, inner{}
	var leaves [][]byte
	for seq, operation := range []string{"CreateKey", "Encrypt", "Decrypt"} {
		leaves = append(leaves, audit.Record{Seq: uint64(seq), Operation: operation, Result: audit.OK}.Append(nil))
	}
	state := tree.Extend(audit.State{}, leaves, func(level uint, index uint64, hash [32]byte) {
		nodes[[2]uint64{uint64(level), index}] = hash
	})
	signed, err := key.Sign(audit.Checkpoint{Origin: audit.Origin("demo"), Size: state.Size, Root: tree.Root(state)})
	if err != nil {
		log.Fatal(err)
	}
	proof, err := tree.Inclusion(nodes, 1, state.Size)
	if err != nil {
		log.Fatal(err)
	}

	// A verifier needs only the record, the checkpoint, the proof and the public key:
	checkpoint, err := audit.OpenCheckpoint(signed, key.Verifier())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tree.VerifyInclusion(leaves[1], 1, checkpoint, proof))
	// Output: <nil>
}
