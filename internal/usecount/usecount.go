// Package usecount counts the uses of key versions. It keeps the counts in memory, and
// encodes them in chunks for a store. docs/formats.md specifies the bytes.
package usecount

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Kind is a kind of use, as in NIST SP 800-57.
type Kind uint8

const (
	// Protect makes a ciphertext, a data key, a signature or a MAC.
	Protect Kind = iota
	// Process opens or verifies one.
	Process
)

// A Version identifies a key version.
type Version struct {
	Key    [16]byte
	Number uint32
}

// A Count is the number of uses of each kind, and the time of the last one. The time is zero
// if there was none.
type Count struct {
	Protected, Processed         uint64
	LastProtected, LastProcessed time.Time
}

// use is the number of uses of one kind, and the time of the last one in microseconds since
// 1970.
type use struct {
	n    uint64
	last int64
}

func (u use) time() time.Time {
	if u.n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(u.last).UTC()
}

// row has the uses of a version, indexed by Kind.
type row struct {
	version Version
	uses    [2]use
}

const (
	// ChunkRows is the number of versions in a chunk.
	ChunkRows = 256
	chunkMark = 1
	chunkHead = 1 + 8
	rowSize   = 16 + 4 + 2*(8+8)
)

// chunk is a part of the table that is stored as one record.
type chunk struct {
	rows []*row
	// through is the size of the log that the stored chunk covers.
	through uint64
	// edits is the number of uses added since the chunk was loaded or made, saved its value
	// when the stored chunk was encoded.
	edits, saved uint64
}

// A place is a row and its chunk.
type place struct {
	*row
	*chunk
}

// A Table has the counts of all versions that were used. It is safe for concurrent use.
type Table struct {
	mu     sync.RWMutex
	rows   map[Version]place
	chunks []*chunk
}

// New returns an empty table.
func New() *Table { return &Table{rows: map[Version]place{}} }

// Add counts the use that is on record number seq of the log. It does nothing if the chunk
// that Load read covers that record.
func (t *Table) Add(seq uint64, v Version, k Kind, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.rows[v]
	if !ok {
		p = t.begin(v)
	}
	if seq < p.through {
		return
	}
	p.uses[k] = use{p.uses[k].n + 1, at.UnixMicro()}
	p.edits++
}

// begin makes a row in the last chunk, or in a new one if that is full.
func (t *Table) begin(v Version) place {
	if n := len(t.chunks); n == 0 || len(t.chunks[n-1].rows) == ChunkRows {
		t.chunks = append(t.chunks, &chunk{})
	}
	c := t.chunks[len(t.chunks)-1]
	p := place{&row{version: v}, c}
	c.rows = append(c.rows, p.row)
	t.rows[v] = p
	return p
}

// Of returns the count of a version.
func (t *Table) Of(v Version) Count {
	t.mu.RLock()
	defer t.mu.RUnlock()
	p, ok := t.rows[v]
	if !ok {
		return Count{}
	}
	made, opened := p.uses[Protect], p.uses[Process]
	return Count{Protected: made.n, Processed: opened.n, LastProtected: made.time(), LastProcessed: opened.time()}
}

// Len returns the number of versions.
func (t *Table) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.rows)
}

// Changed returns the numbers of the chunks that differ from what is stored.
func (t *Table) Changed() (chunks []int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for i, c := range t.chunks {
		if c.edits != c.saved {
			chunks = append(chunks, i)
		}
	}
	return chunks
}

// Encode encodes a chunk that covers the log up to size through. The caller calls saved once
// the chunk is stored.
func (t *Table) Encode(number int, through uint64) (value []byte, saved func()) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	c, be := t.chunks[number], binary.BigEndian
	value = be.AppendUint64(append(make([]byte, 0, chunkHead+len(c.rows)*rowSize), chunkMark), through)
	for _, r := range c.rows {
		value = be.AppendUint32(append(value, r.version.Key[:]...), r.version.Number)
		for _, u := range r.uses {
			value = be.AppendUint64(be.AppendUint64(value, u.n), uint64(u.last))
		}
	}
	edits := c.edits
	return value, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		c.saved = edits
	}
}

// ErrFormat: a stored chunk is not what Encode returned.
var ErrFormat = errors.New("usecount: not a chunk of counts")

// Load adds a stored chunk to the table, in the order of their numbers and before the first
// Add.
func (t *Table) Load(value []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := (len(value) - chunkHead) / rowSize
	if len(value) != chunkHead+n*rowSize || n < 1 || n > ChunkRows || value[0] != chunkMark {
		return fmt.Errorf("%w: %d bytes", ErrFormat, len(value))
	}
	be, c := binary.BigEndian, &chunk{through: binary.BigEndian.Uint64(value[1:])}
	for b := value[chunkHead:]; len(b) > 0; b = b[rowSize:] {
		r := &row{version: Version{Key: [16]byte(b), Number: be.Uint32(b[16:])}}
		for k := range r.uses {
			r.uses[k] = use{be.Uint64(b[20+16*k:]), int64(be.Uint64(b[28+16*k:]))}
		}
		if _, twice := t.rows[r.version]; twice {
			return fmt.Errorf("%w: a version is in it twice", ErrFormat)
		}
		c.rows = append(c.rows, r)
		t.rows[r.version] = place{r, c}
	}
	t.chunks = append(t.chunks, c)
	return nil
}
