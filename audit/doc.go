// Package audit is the log of a vault as a pure state machine: records in one
// canonical JSON form, a Merkle tree over them (RFC 6962), signed checkpoints
// (C2SP tlog-checkpoint), proofs, and an export that anyone who holds the log's
// public key can verify offline.
//
// It has no store, no goroutine and no clock. Whoever keeps the log decides when
// records become durable, and signs a checkpoint only over durable records.
package audit
