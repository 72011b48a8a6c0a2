package badger

import (
	"bytes"

	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// live walks over the entries of memtables and tables in the order of their keys: of
// each key the newest version that is not newer than ts, if it is not deleted.
type live struct {
	it   y.Iterator
	ts   uint64
	last []byte // the key whose newest version was seen
}

// newLive takes the iterators over, of which there may be none.
func newLive(its []y.Iterator, ts uint64) *live {
	l := &live{ts: ts}
	if len(its) > 0 {
		l.it = table.NewMergeIterator(its, false)
	}
	return l
}

func (l *live) close() {
	if l.it != nil {
		_ = l.it.Close()
	}
}

// seek goes to the first entry whose key is not before key.
func (l *live) seek(key []byte) {
	l.last = nil
	if l.it != nil {
		l.it.Seek(newestOf(key))
		l.settle()
	}
}

func (l *live) next() {
	l.it.Next()
	l.settle()
}

func (l *live) valid() bool { return l.it != nil && l.it.Valid() }

func (l *live) key() []byte   { return y.ParseKey(l.it.Key()) }
func (l *live) value() []byte { return l.it.Value().Value }

// settle goes on to the next entry that counts.
func (l *live) settle() {
	for ; l.it.Valid(); l.it.Next() {
		key := l.key()
		if y.ParseTs(l.it.Key()) > l.ts || l.last != nil && bytes.Equal(key, l.last) {
			continue
		}
		l.last = append(l.last[:0], key...)
		if l.it.Value().Meta&deleted == 0 && !bytes.HasPrefix(key, []byte(reserved)) {
			return
		}
	}
}

// sameLive reports whether two walks yield the same keys, versions and values from a key
// on.
func sameLive(a, b *live, from []byte) bool {
	a.seek(from)
	b.seek(from)
	for a.valid() && b.valid() {
		if !bytes.Equal(a.it.Key(), b.it.Key()) || !bytes.Equal(a.value(), b.value()) {
			return false
		}
		a.next()
		b.next()
	}
	return !a.valid() && !b.valid()
}
