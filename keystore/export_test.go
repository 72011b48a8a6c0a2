package keystore

import (
	"errors"
	"os"
	"path/filepath"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/keystore/internal/directory"
	"strongroom.example/keystore/internal/head"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/record"
	"strongroom.example/keystore/internal/rootfile"
	"strongroom.example/keystore/internal/tip"
)

// SetStep makes the store call f before each step at which a crash may interrupt.
func (c *Config) SetStep(f func(name string) error) { c.step = f }

// SetFreeDisk makes the store take the free disk space from f.
func (c *Config) SetFreeDisk(f func() (uint64, error)) { c.freeDisk = f }

// Queued returns the number of queued jobs, without the one that the committer runs.
func (s *Store) Queued() int { return len(s.queue) }

// HeadAndTip returns the generations of the head among pairs and of the newest slot of the
// tip, of a closed store.
func HeadAndTip(cfg Config, pairs map[string][]byte) (headAt, tipAt uint64, err error) {
	ring, release, err := ringOf(cfg, nil)
	if err != nil {
		return 0, 0, err
	}
	defer release()
	_, _, plain, err := record.Open(ring, []byte(record.HeadKey), pairs[record.HeadKey])
	if err != nil {
		return 0, 0, err
	}
	h, err := head.Parse(plain)
	if err != nil {
		return 0, 0, err
	}
	d, err := directory.Open(cfg.Dir)
	if err != nil {
		return 0, 0, err
	}
	defer d.Close()
	file, seen, err := tip.Open(d, tipFile, ring)
	if err != nil {
		return 0, 0, err
	}
	return h.Generation, seen.Generation, file.Close()
}

// Openable counts, by class, the mutable records among pairs that the keys of a root file
// open, regardless of the head and the tip.
func Openable(cfg Config, contents []byte, pairs map[string][]byte) (map[Class]int, error) {
	ring, release, err := ringOf(cfg, contents)
	if err != nil {
		return nil, err
	}
	defer release()
	n := map[Class]int{}
	for at, sealed := range pairs {
		if id, _, _, err := record.Open(ring, []byte(at), sealed); err == nil && at[0] == record.Prefix {
			n[Class(id.Class)]++
		}
	}
	return n, nil
}

// ringOf returns the keyring in a root file, or in the file root of cfg.Dir if contents is
// nil. release wipes it.
func ringOf(cfg Config, contents []byte) (ring *keyring.Keyring, release func(), err error) {
	if contents == nil {
		if contents, err = os.ReadFile(filepath.Join(cfg.Dir, "root")); err != nil {
			return nil, nil, err
		}
	}
	root, err := rootfile.Parse(contents)
	if err != nil {
		return nil, nil, err
	}
	arena := lockedmem.New(0)
	keys, err := rootfile.NewKeys(arena, cfg.Suite.id(), cfg.Root)
	if err != nil {
		return nil, nil, errors.Join(err, arena.Close())
	}
	defer keys.Free()
	if ring, err = root.Unlock(arena, keys); err != nil {
		return nil, nil, errors.Join(err, arena.Close())
	}
	return ring, func() { ring.Free(); arena.Close() }, nil
}
