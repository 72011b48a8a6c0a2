// Package badger is the embedded storage engine: a keystore.Engine over Badger,
// set for small machines and guarded against the ways in which Badger can end
// the process or lose records without a word.
//
// Three rules shape it. A batch is exactly one synced Badger transaction, since
// Badger syncs once per transaction and replays one whole or not at all. Files
// are checked before Badger sees them, since it opens tables in goroutines of
// its own, where a panic cannot be recovered. What Badger would only log (a
// flush, compaction or MANIFEST that failed) stops the engine, since Badger
// itself goes on acknowledging writes after it.
//
// Badger never erases: a deleted value stays in its files. Values must be sealed
// under keys that can be destroyed elsewhere.
package badger
