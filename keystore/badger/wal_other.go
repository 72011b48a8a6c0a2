//go:build !linux

package badger

// badgerSyncs is on: only on Linux is it known that fdatasync reaches what was
// written through Badger's map of the file.
const badgerSyncs = true

// wal has nothing to do where Badger syncs.
type wal struct{}

func openWAL(string) (*wal, error) { return &wal{}, nil }

func (*wal) sync() error { return nil }

func (*wal) close() {}
