// Package badger is the embedded storage engine: a keystore.Engine over the tables of
// Badger, a key-value store, and a redo log.
//
// A batch is durable in the redo log before it is anything else: one write and one sync
// of a file whose blocks are there already, which is the least that durability costs.
// Readers find it in a memtable. When a segment of the log is full the memtable becomes a
// table, on a goroutine of the engine and by plain writes, while the next batches go into
// the other segment. Tables are read back before a segment is used again.
//
// Badger's formats, memtable and table code are used. Its own log, flush and compaction
// are not: they run on goroutines where a fault of the disk ends the process, or loses
// tables without an error. Badger itself runs only to read what earlier versions of this
// package left.
//
// The log is authenticated with a key of the store, and chained, so that a log which is
// not the one that the store was left with is an error.
//
// Nothing here erases: a deleted value stays in the files. Values must be sealed under
// keys that can be destroyed elsewhere.
package badger
