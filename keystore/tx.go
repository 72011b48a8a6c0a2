package keystore

import (
	"fmt"

	"strongroom.example/internal/suite"
)

// change is a staged put, or a delete if deleted is set.
type change struct {
	redacted
	value   []byte
	class   Class
	version uint64 // 0: the generation of the group
	deleted bool
}

// Tx is the overlay of one operation over the store. It is valid only while the operation
// runs. An operation may be run again on a fresh Tx if its group has to be split.
type Tx struct {
	redacted
	group  *group
	puts   map[string]change
	leaves []func(seq uint64) []byte
	err    error
}

// Get returns the record as seen after this operation's changes so far and those of
// earlier operations in the group. The version of a staged record is the group's
// generation.
func (t *Tx) Get(path string) (Record, error) {
	if c, ok := t.staged(path); ok {
		if c.deleted {
			return Record{}, ErrNotFound
		}
		value := append([]byte(nil), c.value...)
		return Record{Path: path, Version: t.group.generation, Value: value}, nil
	}
	return t.group.store.Get(t.group.ctx, path)
}

// Version returns the version that Get would return for path, 0 if it is absent.
func (t *Tx) Version(path string) uint64 {
	if c, ok := t.staged(path); ok {
		if c.deleted {
			return 0
		}
		return t.group.generation
	}
	return t.group.store.Version(path)
}

func (t *Tx) staged(path string) (change, bool) {
	if c, ok := t.puts[path]; ok {
		return c, true
	}
	c, ok := t.group.puts[path]
	return c, ok
}

// Put stages a record of class Meta. The value is copied. A path or value over its limit
// makes the operation fail with ErrTooLarge.
func (t *Tx) Put(path string, value []byte) { t.put(path, value, Meta) }

// PutMaterial stages a record of class Material, with the same limits as Put. Once the
// record is deleted in a ChangeEpoch, no old copy of the engine's directory opens it.
func (t *Tx) PutMaterial(path string, value []byte) { t.put(path, value, Material) }

func (t *Tx) put(path string, value []byte, class Class) {
	if path == "" || len(path) > MaxPath || len(value) > MaxValue {
		t.err = fmt.Errorf("%w: a path has 1 to %d bytes, a value up to %d", ErrTooLarge, MaxPath, MaxValue)
		return
	}
	t.set(path, change{value: append([]byte(nil), value...), class: class})
}

// Delete stages the removal of path. An absent path is not an error.
func (t *Tx) Delete(path string) { t.set(path, change{deleted: true}) }

func (t *Tx) set(path string, c change) {
	if t.puts == nil {
		t.puts = map[string]change{}
	}
	suite.Wipe(t.puts[path].value)
	t.puts[path] = c
}

// Log appends one record to the audit log. encode gets the record's sequence number and
// returns its bytes; it runs in the committer after the operation, each time that the
// operation is staged.
func (t *Tx) Log(encode func(seq uint64) []byte) { t.leaves = append(t.leaves, encode) }
