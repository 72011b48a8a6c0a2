package badger

import (
	"errors"
	"fmt"
	"os"

	"github.com/dgraph-io/badger/v4"

	"strongroom.example/keystore"
)

// Open opens the store in dir, and makes it if dir is empty or missing. The files
// are checked first: a damaged table, a damaged or missing MANIFEST, or a listed
// table without its file is ErrCorrupt and names the file. Damage to Badger's
// log of the newest records (*.mem) is not found here, since Badger takes what
// follows it for a torn write: the redo log brings the records back if it is newer
// than the damage, and otherwise the keystore's tip finds it. ErrInUse if the store is
// open already, ErrFull if less than 32 MiB of disk are free. An open
// store takes batches that Badger need not have yet, about 96 KiB, and refuses
// those beyond while less than 40 MiB are free. To both comes the size of the
// tables that a merge may write anew: about that of all mutable records.
func Open(dir string) (keystore.Engine, error) { return openWith(dir, freeSpace) }

func openWith(dir string, free func(string) (uint64, error)) (keystore.Engine, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keystore/badger: %w", err)
	}
	if err := probeLock(dir); err != nil {
		return nil, err
	}
	if err := probe(dir); err != nil {
		return nil, err
	}
	tables, err := inspect(dir)
	if err != nil {
		return nil, err
	}
	if err := reserve(dir, free, openReserve+merging(tables, nil)); err != nil {
		return nil, err
	}
	w := newWatch()
	log, err := openRedo(dir)
	if err != nil {
		return nil, err
	}
	db, err := openBadger(preset(dir, w))
	if err != nil {
		return nil, errors.Join(err, log.close())
	}
	e := &engine{dir: dir, db: db, watch: w, log: log, free: free}
	if err := e.recover(); err != nil {
		w.Errorf("a recovery that failed: %T", err) // the redo log stays as it is
		_ = e.closeDB()
		return nil, fmt.Errorf("keystore/badger: recover %s: %w", dir, err)
	}
	if err := w.openErr(dir); err != nil {
		_ = e.closeDB()
		return nil, err
	}
	if e.guard, err = newGuard(dir); err != nil {
		_ = e.closeDB()
		return nil, err
	}
	return e, nil
}

// openBadger opens Badger; a panic on our own goroutine is an error.
func openBadger(o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if recover() != nil {
			db, err = nil, fmt.Errorf("%w: badger cannot read %s", keystore.ErrCorrupt, o.Dir)
		}
	}()
	db, err = badger.Open(o)
	if err != nil {
		if fault := probe(o.Dir); fault != nil {
			return nil, fault
		}
		return nil, fmt.Errorf("%w: badger does not open %s: %v", keystore.ErrDirectory, o.Dir, err)
	}
	return db, nil
}
