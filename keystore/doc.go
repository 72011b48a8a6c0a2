// Package keystore keeps a vault's records: sealed, counted, ordered and
// durable. It gives an embedded storage Engine what an engine does not have:
// every record is sealed under a key of its own, a census tells a missing or
// older record from the current one, and a tip outside the engine tells a
// rolled back store from the newest.
package keystore
