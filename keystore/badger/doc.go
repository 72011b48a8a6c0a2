// Package badger is the embedded storage engine: a keystore.Engine over Badger,
// set for small machines and guarded against the ways in which Badger can end
// the process or lose records without a word.
//
// Three rules shape it. A batch is durable in a redo log of our own before it is
// anything else: one write and one sync of a file whose blocks are there already,
// which is the least that durability costs. Badger gets the batches afterwards,
// many in one transaction, and is synced only when the log begins again; until then
// readers find them in an overlay, and the next Open finds them in the log. Files
// are checked before Badger sees them, since it opens tables in goroutines of
// its own, where a panic cannot be recovered. What Badger would only log (a
// flush, compaction or MANIFEST that failed) stops the engine, since Badger
// itself goes on acknowledging writes after it.
//
// Badger never erases: a deleted value stays in its files. Values must be sealed
// under keys that can be destroyed elsewhere.
package badger
