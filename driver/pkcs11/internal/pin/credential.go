// Package pin reads the user PIN of a token from its source, and keeps a PIN that can be
// read only once in locked memory.
package pin

import (
	"context"
	"errors"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/secretsource"
	"strongroom.example/internal/suite"
)

// Source is where the user PIN is read from; none for a token with a keypad or without a
// login.
type Source = secretsource.Source

// Kind returns what errors call a PIN, and its longest length.
func Kind() secretsource.Kind { return secretsource.Kind{Name: "PIN", Max: 256} }

// A Credential is the PIN of one user of a token. A PIN that can be read only once is
// kept in locked memory.
type Credential struct {
	source Source
	arena  *lockedmem.Arena
	kept   *lockedmem.Buffer
}

// NewCredential reads a PIN from a descriptor at once. The caller must have found the
// token first, because a descriptor can be read only once.
func NewCredential(ctx context.Context, from Source) (*Credential, error) {
	c := &Credential{source: from}
	if from.FD == 0 {
		return c, nil
	}
	pin, err := from.Read(ctx, Kind())
	if err != nil {
		return nil, err
	}
	defer suite.Wipe(pin)
	c.arena = lockedmem.New(0)
	if c.kept, err = c.arena.Alloc(len(pin)); err != nil {
		return nil, errors.Join(err, c.arena.Close())
	}
	copy(c.kept.Bytes(), pin)
	return c, nil
}

// Read returns the PIN, or nil if there is no source. The caller wipes it.
func (c *Credential) Read(ctx context.Context) ([]byte, error) {
	switch {
	case c.kept != nil:
		return append([]byte(nil), c.kept.Bytes()...), nil
	case c.source.Sources() == 0:
		return nil, nil
	}
	return c.source.Read(ctx, Kind())
}

// Close wipes the PIN if it was kept.
func (c *Credential) Close() error {
	if c.arena == nil {
		return nil
	}
	c.kept.Free()
	return c.arena.Close()
}
