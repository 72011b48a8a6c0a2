// Package audit implements the log of a vault as a pure state machine: records in a
// canonical JSON form, a Merkle tree over them (RFC 6962), signed checkpoints (C2SP
// tlog-checkpoint), proofs, and an export that any holder of the log's public key can
// verify offline.
//
// The package has no store, starts no goroutine and reads no clock. The caller stores the
// records, and must sign a checkpoint only over records that are durable.
package audit
