package badger

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"

	"strongroom.example/keystore"
	"strongroom.example/keystore/internal/osfile"
)

// Open is OpenEngine without a key: the redo log and its epoch are guarded against
// accidents only. It does not open what OpenEngine wrote under a key.
func Open(dir string) (keystore.Engine, error) {
	return OpenEngine(keystore.EngineConfig{Dir: dir, MAC: unkeyed})
}

func unkeyed(parts ...[]byte) (sum [macSize]byte) {
	for half := range byte(2) {
		h := fnv.New128a()
		h.Write([]byte{half})
		for _, p := range parts {
			h.Write(p)
		}
		h.Sum(sum[:16*half])
	}
	return sum
}

// OpenEngine opens the store in cfg.Dir, and makes it if the directory is empty or
// missing. It reads every table and the whole redo log first, and writes nothing before
// they are known to be whole and of one moment. Errors:
//
//   - ErrInUse if the store is open already;
//   - ErrCorrupt if a table or a list is damaged or missing; the text names the file;
//   - ErrRolledBack if the redo log is missing, is not the one that the store was left
//     with, or ends before what the tables hold;
//   - ErrFull if there is no room for what an older store needs to be brought up to date,
//     or a new one to be made.
//
// A store that Badger itself kept, as earlier versions did, is brought up to date.
func OpenEngine(cfg keystore.EngineConfig) (keystore.Engine, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fault("make the directory", err)
	}
	lock, err := lockDirectory(cfg.Dir)
	if err != nil {
		return nil, err
	}
	e := &engine{dir: cfg.Dir, mac: cfg.MAC, lock: lock}
	if err := e.start(); err != nil {
		if e.flushing != nil {
			<-e.flushing
		}
		return nil, errors.Join(err, e.release())
	}
	return e, nil
}

// start opens the parts and brings them together.
func (e *engine) start() (err error) {
	var marked bool
	if e.epoch, marked, err = openEpoch(e.dir, e.mac); err != nil {
		return err
	}
	if !marked {
		if err := e.openOlder(); err != nil {
			return err
		}
	}
	if e.view.tables, err = readTables(e.dir); err != nil {
		return err
	}
	e.ts.Store(e.view.tables.newest() + 1)
	value := e.view.tables.get(newestOf([]byte(positionKey))).Value
	at, old, err := parsePosition(value)
	if err != nil {
		return err
	}
	if !marked {
		if err := e.begin(at, old); err != nil {
			return err
		}
	} else if err := e.recover(at); err != nil {
		return err
	}
	if err := e.tidy(); err != nil {
		return err
	}
	if old && value != nil {
		// From now on the tables themselves tell that there must be an epoch.
		e.setMemtableAside(position{e.log.head.epoch, e.log.head.before.seq}.encode())
		if err := e.flushMemtable(); err != nil {
			return err
		}
	} else if e.view.full != nil {
		e.startFlush()
	}
	return nil
}

// tidy removes what was left over by a flush or a merge that was cut short, by Badger,
// and by a list that did not get its name.
func (e *engine) tidy() error {
	names, err := files(e.dir)
	if err != nil {
		return err
	}
	listed := map[uint64]bool{}
	for _, t := range e.view.tables.all() {
		listed[t.id] = true
		e.nextID = max(e.nextID, t.id+1)
	}
	left := append(names[".vlog"], "DISCARD", "KEYREGISTRY", "LOCK", manifestNew, epochFile+".new")
	for _, name := range names[".sst"] {
		if id, ok := tableFile(name); ok && !listed[id] {
			left = append(left, name)
			e.nextID = max(e.nextID, id+1)
		}
	}
	for _, name := range left {
		if err := os.Remove(filepath.Join(e.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fault(fmt.Sprintf("remove %s", name), err)
		}
	}
	return nil
}

// lockDirectory opens the directory and takes its lock, the one that Badger takes too.
// Closing the file releases it. It returns ErrInUse if another engine has the lock.
func lockDirectory(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("keystore/badger: %w", err)
	}
	if err = osfile.LockDirectory(f); err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, osfile.ErrLocked) {
		return nil, fmt.Errorf("%w: %s", keystore.ErrInUse, dir)
	}
	return nil, fmt.Errorf("keystore/badger: lock %s: %w", dir, err)
}
