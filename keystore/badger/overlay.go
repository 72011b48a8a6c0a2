package badger

import (
	"bytes"
	"slices"
	"strings"
	"sync"

	"strongroom.example/keystore"
)

// overlayBytes and MaxEntries are how much the overlay gathers: one Badger
// transaction, written in well under a millisecond.
const overlayBytes = 96 << 10

// overlay is what is in the redo log and not known to be in Badger. It lies over
// Badger: what it has counts, and values count before those that are leaving.
type overlay struct {
	mu      sync.RWMutex
	values  map[string][]byte // nil: deleted
	size    int               // of values
	leaving map[string][]byte // on their way to Badger; nobody changes the map meanwhile
	sent    uint64            // how many times values set out
}

// takes tells whether the batch still has room.
func (o *overlay) takes(b keystore.Batch) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	entries := len(o.values) + len(b.Put) + len(b.Delete)
	return len(o.values) == 0 || o.size+b.Size() <= overlayBytes && entries <= MaxEntries
}

// add lays a batch over the earlier ones, and copies it. A reader sees all of it
// or nothing.
func (o *overlay) add(b keystore.Batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.values == nil {
		o.values = map[string][]byte{}
	}
	for _, p := range b.Put {
		o.values[string(p.Key)] = bytes.Clone(p.Value)
	}
	for _, k := range b.Delete {
		o.values[string(k)] = nil
	}
	o.size += b.Size()
}

// leave sends the values off to Badger. None may be leaving.
func (o *overlay) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leaving, o.values, o.size = o.values, o.leaving, 0
	o.sent++
}

// departures is how many times values set out for Badger.
func (o *overlay) departures() uint64 {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.sent
}

// left clears what was leaving: Badger has it.
func (o *overlay) left() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.leaving)
}

// first is the first key in the overlay, nil if that is empty.
func (o *overlay) first() []byte {
	o.mu.RLock()
	defer o.mu.RUnlock()
	first := "" // no key is empty
	for _, layer := range []map[string][]byte{o.leaving, o.values} {
		for key := range layer {
			if first == "" || key < first {
				first = key
			}
		}
	}
	if first == "" {
		return nil
	}
	return []byte(first)
}

// find answers what the overlay has for key.
func (o *overlay) find(key string) (value []byte, known bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if value, known = o.values[key]; !known {
		value, known = o.leaving[key]
	}
	return value, known
}

// within copies what lies at the keys that begin with prefix, and tells how many times
// values had set out by then.
func (o *overlay) within(prefix []byte) (found map[string][]byte, sent uint64) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	found = map[string][]byte{}
	for _, layer := range []map[string][]byte{o.leaving, o.values} {
		for key, value := range layer {
			if strings.HasPrefix(key, string(prefix)) {
				found[key] = value // never changed in place
			}
		}
	}
	return found, o.sent
}

// merge adds the overlay's pairs beyond after to those of Badger's that are at
// none of its keys, and answers the first limit of all in order.
func merge(pairs []keystore.Pair, over map[string][]byte, after []byte, limit int) []keystore.Pair {
	for key, value := range over {
		if value != nil && (after == nil || key > string(after)) {
			pairs = append(pairs, keystore.Pair{Key: []byte(key), Value: bytes.Clone(value)})
		}
	}
	slices.SortFunc(pairs, func(a, b keystore.Pair) int { return bytes.Compare(a.Key, b.Key) })
	return pairs[:min(len(pairs), limit)]
}
