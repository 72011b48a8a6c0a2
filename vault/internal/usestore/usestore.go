// Package usestore keeps the counts of uses of an open vault.
//
// A use is durable together with the operation, because it is the operation's audit record:
// the counts are computed from the log. They are kept in memory, stored from time to time
// together with the size of the log that they cover, and computed at Open from what is
// stored and the records behind that.
package usestore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"strongroom.example/audit"
	"strongroom.example/internal/usecount"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/fault"
	"strongroom.example/vault/internal/record"
)

const (
	// path is the path of the series, and the prefix of the chunks of counts.
	path = "uses"
	// every is the number of audit records after which the counts are stored.
	every = 8192
	// atClose is the number of audit records below which SaveAtClose does not store the size
	// of the log if no count changed.
	atClose = 1024
	// ChunksInBatch is how many chunks one commit stores.
	ChunksInBatch = 16
)

// series is stored with the counts.
type series struct {
	// Through is the size of the log that the stored counts cover.
	Through uint64 `json:"through"`
	// Series is the number of the series. A new one begins, and with it the counts of older
	// versions become incomplete, when uses may not have been counted.
	Series uint32 `json:"series"`
}

// Counts are the counts of an open vault.
type Counts struct {
	*usecount.Table
	// Series is the number of the present series. The counts of a version that was made in
	// an earlier one are incomplete.
	Series uint32

	store  *keystore.Store
	useOf  UseOf
	saving sync.Mutex // guards through
	// through is the size of the log that the stored counts cover.
	through uint64
}

// A UseOf returns the version that a record is a use of, and the kind of use. It returns
// false for other records.
type UseOf func(*audit.Record) (v usecount.Version, kind usecount.Kind, ok bool)

func chunkPath(n int) string { return fmt.Sprintf(path+"/%06d", n) }

// Begin stores the first series, in the commit that creates a vault.
func Begin(tx *keystore.Tx) { tx.Put(path, record.Encode(series{Series: 1})) }

// Open computes the counts, from what is stored and the records behind that.
func Open(ctx context.Context, store *keystore.Store, useOf UseOf) (*Counts, error) {
	c := &Counts{Table: usecount.New(), store: store, useOf: useOf}
	size := store.LogState().Size
	r, err := store.Get(ctx, path)
	if errors.Is(err, keystore.ErrNotFound) { // a release that did not count made the vault
		return c, c.beginSeries(ctx, series{size, 1})
	}
	if err != nil {
		return c, err
	}
	s, err := record.Decode[series](path, r.Value)
	if err != nil {
		return c, err
	}
	for n, chunk := range store.Paths(path + "/") {
		r, err := store.Get(ctx, chunk)
		if err != nil {
			return c, err
		}
		if err := c.Load(r.Value); err != nil || chunk != chunkPath(n) {
			return c, fmt.Errorf("%w: record %s", fault.ErrCorrupt, chunk)
		}
	}
	c.Series, c.through = s.Series, s.Through
	if s.Through >= store.LogFirst().Size && c.replay(ctx, size) == nil {
		return c, ctx.Err()
	}
	return c, c.beginSeries(ctx, series{s.Through, s.Series + 1})
}

// replay counts the uses in the records from c.through up to size.
func (c *Counts) replay(ctx context.Context, size uint64) error {
	for e, err := range c.store.LogRange(ctx, c.through, size) {
		if err != nil {
			return err
		}
		r, err := audit.ParseRecord(e.Leaf)
		if err != nil {
			return err
		}
		if use, kind, ok := c.useOf(&r); ok {
			c.Add(r.Seq, use, kind, r.Time)
		}
	}
	return nil
}

// beginSeries begins a series of counts.
func (c *Counts) beginSeries(ctx context.Context, s series) error {
	c.Series, c.through = s.Series, s.Through
	return c.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
		tx.Put(path, record.Encode(s))
		return nil
	})
}

// NextSeries begins the next series in a commit of Repair or Restore, after which there may
// be uses that no record shows.
func NextSeries(tx *keystore.Tx) error {
	r, err := tx.Get(path)
	if errors.Is(err, keystore.ErrNotFound) {
		return nil // a release that did not count made the vault
	}
	if err != nil {
		return err
	}
	s, err := record.Decode[series](path, r.Value)
	if err == nil {
		s.Series++
		tx.Put(path, record.Encode(s))
	}
	return err
}

// SaveDue stores the counts if many records are not covered. The limit grows with the number
// of versions, so that the work for one use does not.
func (c *Counts) SaveDue(ctx context.Context) error {
	return c.SaveAfter(ctx, max(every, 2*uint64(c.Len())))
}

// SaveAtClose stores the counts that changed. The next Open computes what is not stored.
func (c *Counts) SaveAtClose(ctx context.Context) error {
	if len(c.Changed()) > 0 {
		return c.SaveAfter(ctx, 0)
	}
	return c.SaveAfter(ctx, atClose)
}

// SaveAfter stores the counts if the log has at least n records that they do not cover.
func (c *Counts) SaveAfter(ctx context.Context, n uint64) error {
	c.saving.Lock()
	defer c.saving.Unlock()
	if behind := c.store.LogState().Size - c.through; behind < n {
		return nil
	}
	return c.save(ctx)
}

// save stores the counts that changed, and the size of the log that they cover. The caller
// holds c.saving. A crash between two of its commits loses no count, because each chunk has
// the size of the log that it covers.
func (c *Counts) save(ctx context.Context) error {
	s := series{c.store.LogState().Size, c.Series}
	changed := c.Changed() // after that, because what a commit adds to the log is counted before
	for {
		now := changed[:min(len(changed), ChunksInBatch)]
		changed = changed[len(now):]
		err := c.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
			for _, n := range now {
				value, saved := c.Encode(n, c.store.LogState().Size)
				tx.Put(chunkPath(n), value)
				tx.OnDurable(saved)
			}
			if len(changed) == 0 {
				tx.Put(path, record.Encode(s))
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(changed) == 0 {
			c.through = s.Through
			return nil
		}
	}
}
