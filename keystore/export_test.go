package keystore

import (
	"strongroom.example/internal/lockedmem"
)

// SetStep makes the store call f before each step at which a crash may interrupt.
func (c *Config) SetStep(f func(name string) error) { c.step = f }

// SetFreeDisk makes the store take the free disk space from f.
func (c *Config) SetFreeDisk(f func() (uint64, error)) { c.freeDisk = f }

// Queued returns the number of queued jobs, without the one that the committer runs.
func (s *Store) Queued() int { return len(s.queue) }

// Openable counts, by class, the mutable records among pairs that the keys of a root file
// open, regardless of the head and the tip.
func Openable(cfg Config, rootFile []byte, pairs map[string][]byte) (map[Class]int, error) {
	arena := lockedmem.New(0)
	defer arena.Close()
	keys, err := newRootKeys(arena, cfg.Suite, cfg.Root)
	if err != nil {
		return nil, err
	}
	defer keys.free()
	root, err := parseRoot(rootFile)
	if err != nil {
		return nil, err
	}
	ring, err := root.unlock(arena, keys)
	if err != nil {
		return nil, err
	}
	defer ring.free()
	n, o := map[Class]int{}, sealer{}
	for at, sealed := range pairs {
		if id, _, _, err := o.open(ring, []byte(at), sealed); err == nil && at[0] == prefixRecord {
			n[id.class]++
		}
	}
	return n, nil
}
