package badger

import (
	"bytes"
	"errors"
	"os"
	"slices"

	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"

	"strongroom.example/keystore/internal/osfile"
)

// mergeAt is how many loose tables make the engine merge them into the run.
const mergeAt = 4

// startFlush makes a table of the memtable that was set aside, while further commits go on.
// The writer's lock is held.
func (e *engine) startFlush() {
	ended := make(chan error, 1)
	e.flushing = ended
	go func() { ended <- e.flush() }()
}

// flushed waits for the flush under way, and tries one that failed again. The writer's
// lock is held. After an error all is as before: the memtable and its segment of the
// redo log stay.
func (e *engine) flushed() error {
	if e.flushing != nil {
		err := <-e.flushing
		e.flushing = nil
		if err == nil {
			return nil
		}
	}
	if e.fullMemtable() == nil {
		return nil
	}
	return e.flush()
}

// flush makes a table of the full memtable and, once there are enough, merges the
// loose tables. A merge that fails changes nothing, and is no fault of the flush.
func (e *engine) flush() error {
	if err := guarded(e.flushMemtable); err != nil {
		return err
	}
	if len(e.tables().loose) >= mergeAt {
		_ = guarded(func() error { return e.merge(nil) })
	}
	return nil
}

func (e *engine) flushMemtable() error {
	m := e.fullMemtable()
	if m == nil {
		return nil
	}
	if e.made == nil {
		err := build(m.list.NewUniIterator(false), false, false, func(content []byte) (err error) {
			e.made, err = writeTable(e.dir, e.nextID, content)
			return err
		})
		if err != nil {
			return err
		}
		e.nextID = e.made.id + 1
	}
	now := e.tables()
	next := newTableSet(append(slices.Clone(now.loose), e.made), now.run)
	if _, err := e.install(next, func(v *view) { v.full = nil }); err != nil {
		return err // the table stays: the list on the disk may have it
	}
	e.made = nil
	return nil
}

// install makes a set of tables the one that the next Open finds, and then the one that
// readers see, together with what change changes. After an error in doubt tells that the
// list on the disk may be the new one: then the tables of both must stay.
func (e *engine) install(s tableSet, change func(*view)) (inDoubt bool, err error) {
	e.files.Lock()
	defer e.files.Unlock()
	if err := osfile.SyncPath(e.dir); err != nil {
		return false, fault("sync the directory", err)
	}
	if inDoubt, err = writeManifest(e.dir, s); err != nil {
		e.doubted = e.doubted || inDoubt
		return inDoubt, err
	}
	e.doubted = false
	e.show(func(v *view) {
		v.tables = s
		change(v)
	})
	return false, nil
}

// merge replaces the loose tables, and those of the run whose keys they reach, by new
// tables of the run, without the keys before from. Old audit records, which stand first in
// the order, are not reached.
func (e *engine) merge(from []byte) error {
	now := e.tables()
	first := slices.MinFunc(now.loose, func(a, b *sorted) int { return y.CompareKeys(a.Smallest(), b.Smallest()) })
	start := y.ParseKey(first.Smallest())
	if bytes.Compare(start, from) < 0 {
		start = from
	}
	at, _ := slices.BinarySearchFunc(now.run, start, func(t *sorted, key []byte) int {
		return compareUser(t.Biggest(), key)
	})
	return e.replace(replacement{inputs: tableSet{loose: now.loose, run: now.run[at:]}, from: from,
		next: func(made []*sorted) tableSet { return newTableSet(nil, slices.Concat(now.run[:at:at], made)) }})
}

// replacement is a change of the set of tables.
type replacement struct {
	inputs  tableSet                      // are written again
	dropped []*sorted                     // are removed with all they hold
	from    []byte                        // keys before it are left out
	next    func(made []*sorted) tableSet // the set of which the new tables are a part
}

// replace writes tables again. The files that it replaces are removed once the list
// without them is durable.
func (e *engine) replace(r replacement) error {
	if err := r.inputs.verify(); err != nil {
		return err
	}
	made, err := e.rewrite(r)
	if err == nil {
		// Badger's iterators end at a block that they cannot read as at the end of a table, so
		// the checksums are verified before and after.
		err = errors.Join(sameContent(r.inputs, tableSet{run: made}, r.from), r.inputs.verify())
	}
	inDoubt := false
	if err == nil {
		inDoubt, err = e.install(r.next(made), func(*view) {})
	}
	if err != nil {
		for _, t := range made {
			t.close()
			if !inDoubt {
				_ = os.Remove(t.path) // one that stays is removed at the next Open
			}
		}
		return err
	}
	for _, t := range slices.Concat(r.inputs.all(), r.dropped) { // nothing reads them any more
		t.close()
		_ = os.Remove(t.path) // one that stays is removed at the next Open
	}
	return nil
}

// rewrite makes the tables of the run that hold what the inputs hold.
func (e *engine) rewrite(r replacement) (made []*sorted, err error) {
	its := r.inputs.iterators()
	if len(its) == 0 {
		return nil, nil
	}
	it := fromKey{table.NewMergeIterator(its, false), r.from}
	err = build(it, true, true, func(content []byte) error {
		t, err := writeTable(e.dir, e.nextID, content)
		if err == nil {
			e.nextID = t.id + 1
			made = append(made, t)
		}
		return err
	})
	return made, errors.Join(err, it.Close())
}

// sameContent is an error unless two sets have the same live entries from a key on.
func sameContent(a, b tableSet, from []byte) error {
	one, two := newLive(a.iterators(), ^uint64(0)), newLive(b.iterators(), ^uint64(0))
	defer one.close()
	defer two.close()
	if !sameLive(one, two, from) {
		return errors.New("keystore/badger: a merge of tables has another content than they")
	}
	return nil
}

// compareUser compares the key of a table's entry, which ends with a version, with a key that
// has none. The version does not count.
func compareUser(entry, key []byte) int { return bytes.Compare(y.ParseKey(entry), key) }
