// Package bench measures operations as ratios, because absolute times mean little on a
// shared machine. Each operation runs in rounds interleaved with two baselines: the raw
// cryptography, and the raw cryptography with one durable record, which is the least that
// an audited operation can cost.
package bench
